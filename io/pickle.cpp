#include "io/pickle.h"

#include <utility>

#include "io/pickle_reader.h"
#include "io/text.h"

namespace aikd::io {
namespace {

PickleRef make(PickleValue value) {
  return std::make_shared<PickleValue>(std::move(value));
}

// OrderedDict(), or OrderedDict([(key, value), ...]) as protocols 0 and 1 of Python 2 write it.
PickleRef ordered_dict(PickleReader& reader, const PickleTuple& arguments) {
  PickleDict dict;
  if (!arguments.items.empty()) {
    const auto* pairs = std::get_if<PickleList>(&arguments.items[0]->v);
    require(pairs != nullptr && arguments.items.size() == 1, ErrorKind::kInput,
            "The pickle builds an OrderedDict from ", describe(*arguments.items[0]),
            "; expected a list of pairs.");
    reader.charge(pairs->items.size() * sizeof(dict.items[0]));
    for (const PickleRef& pair : pairs->items) {
      const auto* list = std::get_if<PickleList>(&pair->v);
      const auto* tuple = std::get_if<PickleTuple>(&pair->v);
      const std::vector<PickleRef>* two = list != nullptr    ? &list->items
                                          : tuple != nullptr ? &tuple->items
                                                             : nullptr;
      require(two != nullptr && two->size() == 2, ErrorKind::kInput,
              "The pickle builds an OrderedDict from a list that does not hold pairs.");
      require(!std::holds_alternative<PickleList>((*two)[0]->v) &&
                  !std::holds_alternative<PickleDict>((*two)[0]->v) &&
                  !std::holds_alternative<Tensor>((*two)[0]->v),
              ErrorKind::kInput, "The pickle has ", describe(*(*two)[0]), " as the key of a dict.");
      dict.items.emplace_back((*two)[0], (*two)[1]);
    }
  }
  return make({std::move(dict)});
}

// Python 3 writes bytes at protocols 0 to 2 as _codecs.encode(text, "latin1"), and b"" as bytes().
PickleRef bytes_of(PickleReader& reader, const PickleTuple& arguments) {
  if (arguments.items.empty()) return make({PickleBytes{}});
  if (const auto* bytes = std::get_if<PickleBytes>(&arguments.items[0]->v); bytes != nullptr) {
    require(arguments.items.size() == 1, ErrorKind::kInput,
            "The pickle builds bytes from bytes and further arguments.");
    reader.charge(bytes->data.size());
    return make({*bytes});
  }
  const auto* text = std::get_if<std::string>(&arguments.items[0]->v);
  const auto* encoding =
      arguments.items.size() == 2 ? std::get_if<std::string>(&arguments.items[1]->v) : nullptr;
  require(text != nullptr && encoding != nullptr && (*encoding == "latin1" || *encoding == "latin-1"),
          ErrorKind::kInput, "The pickle builds bytes in another way than from text in Latin-1.");
  reader.charge(text->size());
  return make({PickleBytes{latin1_bytes(*text)}});
}

}  // namespace

PickleRef make_pickle_object(std::shared_ptr<PickleObject> object) {
  return make({std::move(object)});
}

std::string describe(const PickleValue& value) {
  switch (value.v.index()) {
    case 0:
      return "None";
    case 1:
      return "a boolean";
    case 2:
      return "an integer";
    case 3:
      return "a floating-point number";
    case 4:
      return "a string";
    case 5:
      return "bytes";
    case 6:
      return "a list";
    case 7:
      return "a tuple";
    case 8:
      return "a dict";
    case 9:
      return "a tensor";
    default:
      return std::get<std::shared_ptr<PickleObject>>(value.v)->description();
  }
}

const PickleValue* PickleDict::find(const std::string& key) const noexcept {
  for (const auto& [name, value] : items) {
    const auto* text = std::get_if<std::string>(&name->v);
    if (text != nullptr && *text == key) return value.get();
  }
  return nullptr;
}

PickleRef PickleObject::call(PickleReader& /*reader*/, const PickleTuple& /*arguments*/) {
  fail(ErrorKind::kInput, "The pickle calls ", description(), ", which this reader does not do.");
}

void PickleObject::build(PickleReader& /*reader*/, PickleValue& /*self*/, const PickleValue& /*state*/) {
  fail(ErrorKind::kInput, "The pickle sets the state of ", description(), ", which this reader does not do.");
}

std::string PickleFunction::description() const {
  return "the global " + in_quotes(name_);
}

PickleRef PickleFunction::call(PickleReader& reader, const PickleTuple& arguments) {
  return function_(reader, arguments);
}

PickleRef PickleHooks::find_global(const std::string& module, const std::string& name) {
  const bool builtin = module == "builtins" || module == "__builtin__";
  const auto function = [&](PickleFunction::Function f) {
    return make_pickle_object(std::make_shared<PickleFunction>(module + "." + name, std::move(f)));
  };
  if (module == "collections" && name == "OrderedDict") return function(ordered_dict);
  if (module == "_codecs" && name == "encode") return function(bytes_of);
  if (builtin && (name == "bytes" || name == "bytearray")) return function(bytes_of);
  return find_numpy_global(module, name);
}

std::string PickleHooks::advice(const std::string& /*module*/, const std::string& /*name*/) const {
  return "";
}

PickleRef PickleHooks::persistent_load(const PickleValue& /*id*/) {
  fail(ErrorKind::kInput,
       "The pickle refers to data outside of itself (a persistent id), which this reader does not do.");
}

PickleRef read_pickle(std::span<const std::uint8_t> bytes) {
  PickleHooks hooks;
  PickleReader reader(bytes, hooks);
  PickleRef root = reader.read();
  const std::size_t rest = bytes.size() - reader.position();
  require(rest == 0, ErrorKind::kInput, "The pickle is followed by ", rest,
          " bytes that do not belong to it.");
  reader.finish(root);
  return root;
}

}  // namespace aikd::io
