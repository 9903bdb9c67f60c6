// numpy's scalars and arrays, as its __reduce__ methods describe them (numpy/core/src/multiarray/methods.c
// and scalartypes.c.src): scalar(dtype, bytes); _reconstruct(ndarray, (0,), b"b") followed by BUILD with
// (version, shape, dtype, fortran_order, bytes); and, from protocol 5 on, _frombuffer(bytes, dtype, shape,
// order).
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "io/pickle_reader.h"
#include "io/text.h"

namespace aikd::io {
namespace {

// An element type of numpy: 'f' floating, 'i' signed, 'u' unsigned, 'b' boolean, and its bytes.
struct NumpyType {
  char kind = 'f';
  std::size_t size = 4;
  bool big_endian = false;
};

class NumpyDType final : public PickleObject {
 public:
  explicit NumpyDType(NumpyType t) : type(t) {}
  std::string description() const override { return "a numpy.dtype"; }
  // State: (version, byte order, sub-array, names, fields, item size, alignment, flags, ...).
  void build(PickleReader& /*reader*/, PickleValue& /*self*/, const PickleValue& state) override {
    const auto* tuple = std::get_if<PickleTuple>(&state.v);
    const bool enough = tuple != nullptr && tuple->items.size() >= 5;
    const auto* order = enough ? std::get_if<std::string>(&tuple->items[1]->v) : nullptr;
    require(order != nullptr, ErrorKind::kInput,
            "The pickle gives a numpy.dtype a state that this reader does not know.");
    for (std::size_t i = 2; i < 5; ++i)
      require(std::holds_alternative<PickleNone>(tuple->items[i]->v), ErrorKind::kInput,
              "The pickle has a structured numpy.dtype; only plain numbers are read.");
    require(*order == "<" || *order == ">" || *order == "=" || *order == "|", ErrorKind::kInput,
            "The pickle has a numpy.dtype with the byte order ", in_quotes(*order), ".");
    type.big_endian = *order == ">" || (*order == "=" && std::endian::native == std::endian::big);
  }
  NumpyType type;
};

std::int64_t integer_of(const PickleValue& value, const char* what) {
  const auto* integer = std::get_if<std::int64_t>(&value.v);
  require(integer != nullptr, ErrorKind::kInput, "The pickle has ", describe(value), " as the ", what,
          " of a numpy array; expected an integer.");
  return *integer;
}

// Raw bytes; Python 2 pickles have them as a string.
std::string_view raw_of(const PickleValue& value) {
  if (const auto* bytes = std::get_if<PickleBytes>(&value.v)) return bytes->data;
  if (const auto* text = std::get_if<std::string>(&value.v)) return *text;
  fail(ErrorKind::kInput, "The pickle has ", describe(value),
       " as the values of a numpy array; expected bytes (arrays of objects are not read).");
}

NumpyType type_of(const PickleValue& value) {
  const auto dtype = pickle_object_as<NumpyDType>(value);
  require(dtype != nullptr, ErrorKind::kInput, "The pickle has ", describe(value),
          " where a numpy.dtype was expected.");
  return dtype->type;
}

PickleRef make_dtype(PickleReader& /*reader*/, const PickleTuple& arguments) {
  const auto* text = arguments.items.empty() ? nullptr : std::get_if<std::string>(&arguments.items[0]->v);
  require(text != nullptr, ErrorKind::kInput, "The pickle builds a numpy.dtype without its name.");
  for (const char* known : {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}) {
    if (*text == known) {
      const NumpyType type{known[0], static_cast<std::size_t>(known[1] - '0'), false};
      return make_pickle_object(std::make_shared<NumpyDType>(type));
    }
  }
  fail(ErrorKind::kInput, "The pickle has a numpy.dtype of ", in_quotes(*text),
       "; only integers, booleans and floating-point numbers of up to 64 bits are read.");
}

// One element as a number of its own width.
std::uint64_t load_bits(const char* from, const NumpyType& type) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < type.size; ++i) {
    const std::size_t at = type.big_endian ? i : type.size - 1 - i;
    bits = (bits << 8) | static_cast<std::uint8_t>(from[at]);
  }
  return bits;
}

PickleRef make_scalar(PickleReader& /*reader*/, const PickleTuple& arguments) {
  require(arguments.items.size() == 2, ErrorKind::kInput, "The pickle builds a numpy scalar from ",
          arguments.items.size(), " values; expected a dtype and bytes.");
  const NumpyType type = type_of(*arguments.items[0]);
  const std::string_view raw = raw_of(*arguments.items[1]);
  require(raw.size() == type.size, ErrorKind::kInput, "The pickle has a numpy scalar of ", raw.size(),
          " bytes; its dtype takes ", type.size, ".");
  const std::uint64_t bits = load_bits(raw.data(), type);
  PickleValue value;
  if (type.kind == 'b') {
    value.v = bits != 0;
  } else if (type.kind == 'f') {
    value.v = type.size == 8   ? std::bit_cast<double>(bits)
              : type.size == 4 ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)))
                               : static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits)}));
  } else {
    const auto shift = static_cast<unsigned>(64 - 8 * type.size);
    require(type.kind == 'i' || type.size < 8 || bits <= std::numeric_limits<std::int64_t>::max(),
            ErrorKind::kInput, "The pickle has a numpy scalar above the range of 64-bit signed integers.");
    // Shifted up and arithmetically down again: extends the sign.
    value.v = type.kind == 'i' ? std::bit_cast<std::int64_t>(bits << shift) >> shift
                               : std::bit_cast<std::int64_t>(bits);
  }
  return std::make_shared<PickleValue>(std::move(value));
}

// The tensor's type for `type`: unsigned integers become the next wider signed ones, uint64 must fit.
DType tensor_type(const NumpyType& type) {
  if (type.kind == 'b') return DType::kBool;
  if (type.kind == 'f') return type.size == 8 ? DType::kF64 : type.size == 4 ? DType::kF32 : DType::kF16;
  if (type.kind == 'i')
    return type.size == 8   ? DType::kI64
           : type.size == 4 ? DType::kI32
           : type.size == 2 ? DType::kI16
                            : DType::kI8;
  return type.size == 1 ? DType::kU8 : type.size == 2 ? DType::kI32 : DType::kI64;
}

void store(Tensor& tensor, std::int64_t i, std::uint64_t bits) {
  void* to = static_cast<char*>(tensor.mutable_raw()) + static_cast<std::size_t>(i) * size_of(tensor.dtype());
  switch (size_of(tensor.dtype())) {
    case 8:
      std::memcpy(to, &bits, 8);
      return;
    case 4: {
      const auto narrow = static_cast<std::uint32_t>(bits);
      std::memcpy(to, &narrow, 4);
      return;
    }
    case 2: {
      const auto narrow = static_cast<std::uint16_t>(bits);
      std::memcpy(to, &narrow, 2);
      return;
    }
    default: {
      const auto narrow = static_cast<std::uint8_t>(tensor.dtype() == DType::kBool ? bits != 0 : bits);
      std::memcpy(to, &narrow, 1);
    }
  }
}

Shape shape_of(const PickleValue& value) {
  const auto* tuple = std::get_if<PickleTuple>(&value.v);
  require(tuple != nullptr, ErrorKind::kInput, "The pickle has ", describe(value),
          " as the shape of a numpy array; expected a tuple.");
  require(tuple->items.size() <= Shape::kMaxRank, ErrorKind::kInput, "The pickle has a numpy array of ",
          tuple->items.size(), " dimensions; at most ", Shape::kMaxRank, " are read.");
  std::vector<std::int64_t> extents;
  constexpr std::int64_t kLimit = std::int64_t{1} << 58;
  std::int64_t product = 1;
  for (const PickleRef& item : tuple->items) {
    const std::int64_t n = integer_of(*item, "dimension");
    require(n >= 0 && (n == 0 || product <= kLimit / n), ErrorKind::kInput,
            "The pickle has a numpy array whose shape is negative or too large.");
    product *= n;
    extents.push_back(n);
  }
  return Shape(std::span<const std::int64_t>(extents));
}

Tensor make_tensor(PickleReader& reader, const NumpyType& type, const Shape& shape, bool fortran_order,
                   std::string_view raw) {
  const auto numel = static_cast<std::size_t>(shape.numel());
  require(raw.size() == numel * type.size, ErrorKind::kInput, "The pickle has a numpy array of shape ", shape,
          " with ", raw.size(), " bytes of values; expected ", numel * type.size, ".");
  const DType dtype = tensor_type(type);
  reader.charge(numel * size_of(dtype));
  Tensor tensor = Tensor::empty(shape, dtype);
  // In Fortran order the first index runs fastest: element (i0, i1, ...) is at i0 + n0 * (i1 + n1 * ...).
  std::array<std::int64_t, Shape::kMaxRank> index{};
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    std::int64_t from = i;
    if (fortran_order) {
      from = 0;
      for (std::size_t d = shape.rank(); d-- > 0;) from = from * shape.extents()[d] + index[d];
      for (std::size_t d = shape.rank(); d-- > 0;) {
        if (++index[d] < shape.extents()[d]) break;
        index[d] = 0;
      }
    }
    const std::uint64_t bits = load_bits(raw.data() + static_cast<std::size_t>(from) * type.size, type);
    require(type.kind != 'u' || type.size < 8 || bits <= std::numeric_limits<std::int64_t>::max(),
            ErrorKind::kInput, "The pickle has a numpy array with a value above 64-bit signed integers.");
    store(tensor, i, bits);
  }
  return tensor;
}

// What _reconstruct returns: an array that gets its values from BUILD.
class NumpyArray final : public PickleObject {
 public:
  std::string description() const override { return "a numpy array without its values"; }
  void build(PickleReader& reader, PickleValue& self, const PickleValue& state) override {
    const auto* tuple = std::get_if<PickleTuple>(&state.v);
    require(tuple != nullptr && tuple->items.size() == 5, ErrorKind::kInput,
            "The pickle gives a numpy array a state that this reader does not know.");
    const auto* fortran = std::get_if<bool>(&tuple->items[3]->v);
    const bool fortran_order = fortran != nullptr ? *fortran : integer_of(*tuple->items[3], "order") != 0;
    self.v = make_tensor(reader, type_of(*tuple->items[2]), shape_of(*tuple->items[1]), fortran_order,
                         raw_of(*tuple->items[4]));
  }
};

PickleRef reconstruct(PickleReader& /*reader*/, const PickleTuple& arguments) {
  const bool array =
      !arguments.items.empty() && describe(*arguments.items[0]) == "the global 'numpy.ndarray'";
  require(array, ErrorKind::kInput, "The pickle reconstructs something else than a numpy.ndarray.");
  return make_pickle_object(std::make_shared<NumpyArray>());
}

PickleRef from_buffer(PickleReader& reader, const PickleTuple& arguments) {
  const auto* order =
      arguments.items.size() == 4 ? std::get_if<std::string>(&arguments.items[3]->v) : nullptr;
  require(order != nullptr && (*order == "C" || *order == "F"), ErrorKind::kInput,
          "The pickle builds a numpy array from a buffer in a way that this reader does not know.");
  Tensor tensor = make_tensor(reader, type_of(*arguments.items[1]), shape_of(*arguments.items[2]),
                              *order == "F", raw_of(*arguments.items[0]));
  return std::make_shared<PickleValue>(PickleValue{std::move(tensor)});
}

PickleRef refuse_ndarray(PickleReader& /*reader*/, const PickleTuple& /*arguments*/) {
  fail(ErrorKind::kInput, "The pickle calls numpy.ndarray, which this reader does not do.");
}

}  // namespace

PickleRef find_numpy_global(const std::string& module, const std::string& name) {
  const auto function = [&](PickleFunction::Function f) {
    return make_pickle_object(std::make_shared<PickleFunction>(module + "." + name, std::move(f)));
  };
  // numpy 2 renamed numpy.core to numpy._core.
  if (module == "numpy" && name == "dtype") return function(make_dtype);
  if (module == "numpy" && name == "ndarray") return function(refuse_ndarray);
  if (module == "numpy.core.multiarray" || module == "numpy._core.multiarray") {
    if (name == "scalar") return function(make_scalar);
    if (name == "_reconstruct") return function(reconstruct);
  }
  if ((module == "numpy.core.numeric" || module == "numpy._core.numeric") && name == "_frombuffer")
    return function(from_buffer);
  return nullptr;
}

}  // namespace aikd::io
