#include "io/torch_tensors.h"

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "io/text.h"

namespace aikd::io {
namespace {

// Part of a storage: legacy files may describe one storage as a window of another.
class StorageObject final : public PickleObject {
 public:
  StorageObject(std::shared_ptr<TorchStorage> s, std::int64_t begin, std::int64_t count)
      : storage(std::move(s)), first(begin), numel(count) {}
  std::string description() const override { return "a bare PyTorch storage"; }
  std::shared_ptr<TorchStorage> storage;
  std::int64_t first, numel;  // elements of the storage's dtype
};

class StorageType final : public PickleObject {
 public:
  StorageType(std::string n, DType d) : name(std::move(n)), dtype(d) {}
  std::string description() const override { return "the class " + in_quotes(name); }
  std::string name;
  DType dtype;
};

class TensorObject final : public PickleObject {
 public:
  std::string description() const override { return "a tensor without its values"; }
  std::shared_ptr<StorageObject> storage;
  DType dtype = DType::kF32;
  std::int64_t offset = 0;  // elements of dtype, from the window's beginning
  std::vector<std::int64_t> extents, strides;
  Shape shape() const { return Shape(std::span<const std::int64_t>(extents)); }
};

constexpr std::pair<const char*, DType> kTypes[] = {
    {"FloatStorage", DType::kF32},     {"DoubleStorage", DType::kF64}, {"HalfStorage", DType::kF16},
    {"BFloat16Storage", DType::kBF16}, {"LongStorage", DType::kI64},   {"IntStorage", DType::kI32},
    {"ShortStorage", DType::kI16},     {"CharStorage", DType::kI8},    {"ByteStorage", DType::kU8},
    {"BoolStorage", DType::kBool},     {"UntypedStorage", DType::kU8}};

constexpr std::pair<const char*, DType> kDTypes[] = {
    {"float32", DType::kF32}, {"float64", DType::kF64}, {"float16", DType::kF16}, {"bfloat16", DType::kBF16},
    {"int64", DType::kI64},   {"int32", DType::kI32},   {"int16", DType::kI16},   {"int8", DType::kI8},
    {"uint8", DType::kU8},    {"bool", DType::kBool}};

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  fail(ErrorKind::kInput, "The pickle ", parts...);
}

const PickleValue& argument(const PickleTuple& arguments, std::size_t i, const char* function) {
  if (i >= arguments.items.size())
    refuse("calls ", function, " with ", arguments.items.size(), " arguments, which is too few.");
  return *arguments.items[i];
}

std::int64_t integer_of(const PickleValue& value, const char* what) {
  const auto* integer = std::get_if<std::int64_t>(&value.v);
  if (integer == nullptr) refuse("has ", describe(value), " as the ", what, " of a tensor.");
  return *integer;
}

std::vector<std::int64_t> integers_of(const PickleValue& value, const char* what) {
  const auto* tuple = std::get_if<PickleTuple>(&value.v);
  if (tuple == nullptr) refuse("has ", describe(value), " as the ", what, " of a tensor; expected a tuple.");
  if (tuple->items.size() > Shape::kMaxRank)
    refuse("has a tensor of ", tuple->items.size(), " dimensions; at most ", Shape::kMaxRank, " are read.");
  std::vector<std::int64_t> numbers;
  for (const PickleRef& item : tuple->items) {
    const std::int64_t n = integer_of(*item, what);
    if (n < 0) refuse("has a tensor with a negative ", what, ": ", n, ".");
    numbers.push_back(n);
  }
  return numbers;
}

// The view must lie inside of its storage: with sizes n and strides s, the last element is at
// offset + sum (n_i - 1) s_i. All arithmetic is checked against a limit that no storage reaches.
void check_view(const TensorObject& tensor) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 58;
  std::int64_t numel = 1, last = tensor.offset;
  bool fits = tensor.offset >= 0 && tensor.offset <= kLimit;
  for (std::size_t i = 0; fits && i < tensor.extents.size(); ++i) {
    const std::int64_t n = tensor.extents[i], stride = tensor.strides[i];
    fits = n <= kLimit && (n == 0 || numel <= kLimit / n);
    if (!fits) break;
    numel *= n;
    if (n > 1 && stride > (kLimit - last) / (n - 1)) {
      fits = false;
    } else if (n > 1) {
      last += (n - 1) * stride;
    }
  }
  const StorageObject& window = *tensor.storage;
  const std::int64_t bytes = window.numel * static_cast<std::int64_t>(size_of(window.storage->dtype));
  const std::int64_t available = bytes / static_cast<std::int64_t>(size_of(tensor.dtype));
  fits = fits && tensor.offset <= available && (numel == 0 || last < available);
  if (!fits)
    refuse("has a tensor that reaches outside of its storage ", in_quotes(window.storage->key),
           ", which has ", available, " elements.");
}

// _rebuild_tensor(storage, offset, size, stride), _rebuild_tensor_v2(..., requires_grad, hooks, [metadata]),
// _rebuild_tensor_v3(..., requires_grad, hooks, dtype, [metadata]).
PickleRef rebuild_tensor(const PickleTuple& arguments, bool has_dtype) {
  constexpr const char* kName = "a function that rebuilds a tensor";
  auto tensor = std::make_shared<TensorObject>();
  tensor->storage = pickle_object_as<StorageObject>(argument(arguments, 0, kName));
  if (tensor->storage == nullptr)
    refuse("rebuilds a tensor from ", describe(*arguments.items[0]), " instead of a storage.");
  tensor->dtype = tensor->storage->storage->dtype;
  tensor->offset = integer_of(argument(arguments, 1, kName), "offset");
  tensor->extents = integers_of(argument(arguments, 2, kName), "size");
  tensor->strides = integers_of(argument(arguments, 3, kName), "stride");
  if (tensor->extents.size() != tensor->strides.size())
    refuse("has a tensor of ", tensor->extents.size(), " sizes and ", tensor->strides.size(), " strides.");
  if (has_dtype) {
    const auto* text = std::get_if<std::string>(&argument(arguments, 6, kName).v);
    std::optional<DType> dtype;
    for (const auto& [name, value] : kDTypes) {
      if (text != nullptr && *text == std::string("torch.") + name) dtype = value;
    }
    if (!dtype) refuse("has a tensor of an element type that this reader does not know.");
    tensor->dtype = *dtype;
  }
  check_view(*tensor);
  return make_pickle_object(std::move(tensor));
}

PickleRef rebuild_parameter(PickleReader& /*reader*/, const PickleTuple& arguments) {
  argument(arguments, 0, "_rebuild_parameter");
  if (pickle_object_as<TensorObject>(*arguments.items[0]) == nullptr)
    refuse("rebuilds a parameter from ", describe(*arguments.items[0]), " instead of a tensor.");
  return arguments.items[0];
}

PickleRef make_size(PickleReader& /*reader*/, const PickleTuple& arguments) {
  const PickleValue& value = argument(arguments, 0, "torch.Size");
  if (!std::holds_alternative<PickleTuple>(value.v))
    refuse("builds a torch.Size from ", describe(value), ".");
  return arguments.items[0];
}

// torch.device("cuda", 0) becomes the string "cuda:0".
PickleRef make_device(PickleReader& reader, const PickleTuple& arguments) {
  const auto* type = std::get_if<std::string>(&argument(arguments, 0, "torch.device").v);
  if (type == nullptr) refuse("builds a torch.device from ", describe(*arguments.items[0]), ".");
  reader.charge(type->size());
  std::string text = *type;
  if (arguments.items.size() > 1) text += concat(":", integer_of(*arguments.items[1], "device"));
  return std::make_shared<PickleValue>(PickleValue{std::move(text)});
}

// Row-major strides, where the stride of a dimension of size 1 does not matter.
bool is_contiguous(const TensorObject& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.extents.size(); i-- > 0;) {
    if (tensor.extents[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.extents[i];
  }
  return true;
}

Tensor copy_of(const TensorObject& tensor) {
  const StorageObject& window = *tensor.storage;
  const std::size_t size = size_of(tensor.dtype);
  Tensor out = Tensor::empty(tensor.shape(), tensor.dtype);
  if (out.numel() == 0) return out;
  auto* to = static_cast<char*>(out.mutable_raw());
  const char* from = static_cast<const char*>(window.storage->data.raw()) +
                     static_cast<std::size_t>(window.first) * size_of(window.storage->dtype) +
                     static_cast<std::size_t>(tensor.offset) * size;
  if (is_contiguous(tensor)) {
    std::memcpy(to, from, out.bytes());
    return out;
  }
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::int64_t at = 0;  // sum of index[d] * stride[d]
  for (std::int64_t i = 0; i < out.numel(); ++i, to += size) {
    std::memcpy(to, from + static_cast<std::size_t>(at) * size, size);
    for (std::size_t d = tensor.extents.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.extents[d]) break;
      at -= tensor.strides[d] * tensor.extents[d];
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

PickleRef TorchHooks::find_global(const std::string& module, const std::string& name) {
  const auto function = [&](PickleFunction::Function f) {
    return make_pickle_object(std::make_shared<PickleFunction>(module + "." + name, std::move(f)));
  };
  if (module == "torch._utils") {
    const bool v3 = name == "_rebuild_tensor_v3";
    if (v3 || name == "_rebuild_tensor" || name == "_rebuild_tensor_v2")
      return function([this, v3](PickleReader& /*reader*/, const PickleTuple& arguments) {
        return tensors_.emplace_back(rebuild_tensor(arguments, v3));
      });
    if (name == "_rebuild_parameter") return function(rebuild_parameter);
  }
  if (module == "torch" || module == "torch.cuda" || module == "torch.storage") {
    for (const auto& [type, dtype] : kTypes) {
      if (name == type) return make_pickle_object(std::make_shared<StorageType>(module + "." + name, dtype));
    }
  }
  if (module == "torch") {
    if (name == "Size") return function(make_size);
    if (name == "device") return function(make_device);
    for (const auto& [type, dtype] : kDTypes) {
      if (name == type) return std::make_shared<PickleValue>(PickleValue{"torch." + name});
    }
  }
  return PickleHooks::find_global(module, name);
}

std::string TorchHooks::advice(const std::string& module, const std::string& name) const {
  const bool whole_module = module.starts_with("torch.nn.") || module == "__main__";
  return concat(whole_module ? " The file holds a whole pickled model instead of its tensors." : "",
                " In Python, load the file where ", in_quotes(name),
                " is defined and save the tensors alone: torch.save(model.state_dict(), \"weights.pth\").");
}

// ("storage", storage type, key, location, numel[, None or (view key, first element, numel)]).
PickleRef TorchHooks::persistent_load(const PickleValue& id) {
  const auto* tuple = std::get_if<PickleTuple>(&id.v);
  const auto text = [&](std::size_t i) {
    return tuple != nullptr && i < tuple->items.size() ? std::get_if<std::string>(&tuple->items[i]->v)
                                                       : nullptr;
  };
  const std::string* kind = text(0);
  if (kind != nullptr && *kind == "module")
    refuse(
        "holds a whole pickled model (torch.save(model)) instead of its tensors; in Python, save the "
        "tensors alone: torch.save(model.state_dict(), \"weights.pth\").");
  const bool known = kind != nullptr && *kind == "storage" && text(2) != nullptr && tuple->items.size() >= 5;
  if (!known) refuse("has a persistent id that does not name a PyTorch storage.");
  const auto type = pickle_object_as<StorageType>(*tuple->items[1]);
  if (type == nullptr) refuse("gives a storage the type ", describe(*tuple->items[1]), ".");
  const std::string& key = *text(2);
  const std::int64_t numel = integer_of(*tuple->items[4], "number of elements");
  constexpr std::int64_t kLimit = std::int64_t{1} << 58;
  if (numel < 0 || numel > kLimit) refuse("has a storage of ", numel, " elements.");

  std::shared_ptr<TorchStorage>& storage = by_key_[key];
  if (storage == nullptr) {
    storage = std::make_shared<TorchStorage>();
    storage->key = key;
    storage->dtype = type->dtype;
    storage->numel = numel;
    storages_.push_back(storage);
  } else if (storage->dtype != type->dtype || storage->numel != numel) {
    refuse("describes the storage ", in_quotes(key), " in two ways: ", storage->numel, " elements of ",
           name_of(storage->dtype), " and ", numel, " of ", name_of(type->dtype), ".");
  }
  std::int64_t first = 0, count = numel;
  if (tuple->items.size() >= 6) {
    if (const auto* window = std::get_if<PickleTuple>(&tuple->items[5]->v); window != nullptr) {
      first = integer_of(argument(*window, 1, "a view of a storage"), "view");
      count = integer_of(argument(*window, 2, "a view of a storage"), "view");
      if (first < 0 || count < 0 || first > numel || count > numel - first)
        refuse("has a view outside of its storage ", in_quotes(key), ".");
    }
  }
  return make_pickle_object(std::make_shared<StorageObject>(storage, first, count));
}

TorchStorage* TorchHooks::storage(const std::string& key) const noexcept {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second.get();
}

void TorchHooks::materialise() {
  // A view with stride 0, or many views of one storage, must not turn a small file into terabytes.
  std::uint64_t budget = std::uint64_t{16} << 20;
  for (const auto& storage : storages_) budget += 8 * storage->bytes();
  for (const PickleRef& value : tensors_) {
    const auto tensor = pickle_object_as<TensorObject>(*value);
    const Shape shape = tensor->shape();
    const auto bytes = static_cast<std::uint64_t>(shape.numel()) * size_of(tensor->dtype);
    if (bytes > budget)
      refuse(
          "has tensors that repeat their storages so often that they would take many times the size of the "
          "file.");
    budget -= bytes;
    TorchStorage& storage = *tensor->storage->storage;
    const bool whole = tensor->offset == 0 && tensor->storage->first == 0 && tensor->dtype == storage.dtype &&
                       shape.numel() == storage.numel && is_contiguous(*tensor);
    if (whole && !storage.given) {
      storage.given = true;
      value->v = storage.data.reshape(shape);
    } else {
      value->v = copy_of(*tensor);
    }
  }
  tensors_.clear();
}

}  // namespace aikd::io
