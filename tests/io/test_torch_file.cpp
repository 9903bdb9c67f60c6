#include "io/torch_file.h"

#include <algorithm>
#include <cmath>

#include "tests/io/golden_values.h"

namespace aikd::test {
namespace {

using io::PickleDict;
using io::TorchFile;
using nlohmann::json;
using namespace std::string_literals;

std::filesystem::path golden(const std::string& name) {
  return golden_dir() / "io" / "torch" / name;
}
TorchFile parse(const std::string& text) {
  return io::parse_torch_file(as_bytes(text));
}
std::string error(const std::string& text) {
  return error_of(ErrorKind::kModel, [&] { (void)parse(text); });
}
std::string error_of_golden(const std::string& name) {
  return error_of(ErrorKind::kModel, [&] { (void)io::read_torch_file(golden("broken_" + name + ".pth")); });
}

TEST_CASE("torch files of both containers hold what PyTorch saved") {
  const json expected = json::parse(read_text(golden("expected.json")));
  REQUIRE(expected.at("files").size() == 19);
  for (const auto& item : expected.at("files").items()) {
    const std::string& file = item.key();
    const auto holds = item.value().get<std::string>();
    INFO(file);
    const TorchFile got = io::read_torch_file(golden(file));
    CHECK(golden_value(*got.root) == expected.at("values").at(holds));
    CHECK(got.container == (contains(file, "legacy") ? "legacy" : "zip"));
  }
}

TEST_CASE("torch tensors of one storage do not share memory") {
  for (const char* file : {"views_zip.pth", "views_legacy.pth"}) {
    const TorchFile got = io::read_torch_file(golden(file));
    const auto& dict = std::get<PickleDict>(got.root->v);
    Tensor base = std::get<Tensor>(dict.find("base")->v);
    const Tensor row = std::get<Tensor>(dict.find("row")->v);
    const float before = row.values<float>()[0];
    base.mutable_values<float>()[20] = -1.0F;  // base[1][0][0], which is row[0][0]
    CHECK(row.values<float>()[0] == before);
  }
}

TEST_CASE("torch state_dict is found at the root and nested and loses the prefix module") {
  std::string where = "?";
  const auto names = [](const std::vector<io::StateDictEntry>& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(entry.name);
    return out;
  };
  const std::vector<std::string> network = {"0.weight",       "1.weight",      "1.bias",
                                            "1.running_mean", "1.running_var", "1.num_batches_tracked",
                                            "2.weight"};
  for (const char* kind : {"_zip.pth", "_legacy.pth"}) {
    INFO(std::string(kind));
    CHECK(names(io::find_state_dict(io::read_torch_file(golden("state"s + kind)), &where)) == network);
    CHECK(where == "");
    CHECK(names(io::find_state_dict(io::read_torch_file(golden("nested"s + kind)), &where)) == network);
    CHECK(where == "state_dict");
    CHECK(names(io::find_state_dict(io::read_torch_file(golden("deep"s + kind)), &where)) ==
          std::vector<std::string>{"conv.weight"});
    CHECK(where == "model.net_state_dict");
    CHECK(names(io::find_state_dict(io::read_torch_file(golden("parameters"s + kind)))) ==
          std::vector<std::string>{"weight", "frozen"});
  }
}

// A checkpoint built without a file: {name: tensor or dict}.
using Items = std::vector<std::pair<std::string, io::PickleValue>>;
io::PickleValue dict_of(const Items& items) {
  PickleDict dict;
  for (const auto& [name, value] : items)
    dict.items.emplace_back(std::make_shared<io::PickleValue>(io::PickleValue{name}),
                            std::make_shared<io::PickleValue>(value));
  return {dict};
}
std::string where_in(const Items& items) {
  std::string where;
  (void)io::find_state_dict({std::make_shared<io::PickleValue>(dict_of(items)), "zip"}, &where);
  return where;
}

TEST_CASE("torch state_dict names are preferred in order and unknown ones found when unique") {
  const io::PickleValue w = dict_of({{"w", {Tensor::zeros({1})}}});
  const io::PickleValue number = {std::int64_t{3}};
  CHECK(where_in({{"ema", w}, {"model", w}, {"state_dict", w}}) == "state_dict");
  CHECK(where_in({{"state_dict_ema", w}, {"model", w}}) == "model");
  CHECK(where_in({{"epoch", number}, {"my_weights", w}}) == "my_weights");
  CHECK(where_in({{"model", number}, {"net", w}}) == "net");
  CHECK(where_in({{"best", {Tensor::zeros({})}}, {"state_dict", w}}) == "state_dict");
  CHECK(where_in({{"w", {Tensor::zeros({1})}}, {"version", number}}) == "");
  const auto error = [](const Items& items) {
    return error_of(ErrorKind::kModel, [&] { (void)where_in(items); });
  };
  CHECK(contains(error({{"a", w}, {"b", w}, {"epoch", number}}), "its keys are: 'a', 'b', 'epoch'."));
  CHECK(contains(error({}), "holds no state_dict that can be told from the rest"));
  // Nested three deep is not searched.
  CHECK(contains(error({{"model", dict_of({{"net", dict_of({{"state_dict", w}})}})}}),
                 "its keys are: 'model'."));
}

TEST_CASE("torch prefix module is stripped only when every name has it") {
  const auto names = [](const Items& items) {
    std::string text;
    for (const auto& e : io::find_state_dict({std::make_shared<io::PickleValue>(dict_of(items)), "zip"}))
      text += e.name + " ";
    return text;
  };
  const io::PickleValue t = {Tensor::zeros({1})};
  CHECK(names({{"module.a", t}, {"module.module.b", t}}) == "a module.b ");
  CHECK(names({{"module.a", t}, {"b", t}}) == "module.a b ");
  CHECK(names({{"module.", t}}) == "module. ");
}

TEST_CASE("torch files without a state_dict say what they hold") {
  const auto error = [](const std::string& name) {
    return error_of(ErrorKind::kModel, [&] {
      (void)io::find_state_dict(io::read_torch_file(golden("broken_" + name + ".pth")));
    });
  };
  CHECK(contains(error("no_tensors"), "its keys are: 'epoch', 'history'."));
  CHECK(contains(error("no_dict"), "holds no dict of tensors"));
}

TEST_CASE("torch zip archives that are broken or hostile are refused") {
  CHECK(contains(error_of_golden("lacks_storage"),
                 "lacks the entry 'archive/data/0', which its pickle refers to"));
  CHECK(contains(error_of_golden("lacks_pickle"), "has no data.pkl"));
  CHECK(contains(error_of_golden("two_pickles"), "more than one data.pkl"));
  CHECK(contains(error_of_golden("short_storage"),
                 "has 4 bytes; its pickle expects 2 elements of F32, which take 8"));
  CHECK(contains(error_of_golden("long_storage"), "has 12 bytes; its pickle expects 2 elements of F32"));
  CHECK(
      contains(error_of_golden("bad_crc"), "'archive/data/0' of the zip archive cannot be read: CRC error"));
  CHECK(contains(error_of_golden("encrypted"), "is encrypted"));
  CHECK(contains(error_of_golden("bzip2"), "compresses its entries by method 12"));
  CHECK(contains(error_of_golden("bomb"), "would grow to more than 100 times its size"));
  CHECK(contains(error_of_golden("byteorder"), "unknown byte order 'pdp11'"));
  CHECK(contains(error_of_golden("torchscript"), "is a TorchScript program"));
}

TEST_CASE("torch files with any one byte changed are read or refused with a sentence") {
  for (const char* file : {"deep_zip.pth", "deep_legacy.pth"}) {
    const std::string whole = read_text(golden(file));
    int refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const unsigned change : {0x01U, 0x80U, 0xffU}) {
        std::string text = whole;
        text[at] = static_cast<char>(static_cast<unsigned char>(text[at]) ^ change);
        const std::string what = error(text);  // an exception of another type fails the test
        INFO(at);
        CHECK_FALSE(contains(what, "another kind"));
        refused += what == "no error" ? 0 : 1;
      }
    }
    CHECK(refused > 100);
  }
}

TEST_CASE("torch files of other tensors are refused by name") {
  CHECK(contains(error_of_golden("uint16"), "the global 'torch.uint16', which this reader does not build"));
  CHECK(contains(error_of_golden("complex"), "the global 'torch.ComplexFloatStorage'"));
  CHECK(contains(error_of_golden("sparse"), "the global 'torch._utils._rebuild_sparse_tensor'"));
  CHECK(contains(error_of_golden("rank_9"), "a tensor of 9 dimensions; at most 8"));
  CHECK(contains(error_of_golden("storage"), "holds a bare PyTorch storage as a value"));
}

TEST_CASE("torch files of a whole model are refused with advice") {
  for (const char* name : {"module", "module_legacy"}) {
    const std::string text = error_of_golden(name);
    INFO(text);
    CHECK(contains(text, "holds a whole pickled model"));
    CHECK(contains(text, "torch.save(model.state_dict(), \"weights.pth\")"));
  }
}

TEST_CASE("torch reader names what it was given by mistake") {
  CHECK(contains(error(""), "The file is empty"));
  CHECK(contains(error("hello"), "neither a zip archive nor a legacy stream of pickles"));
  CHECK(contains(error("version https://git-lfs.github.com/spec/v1\noid"), "is a Git LFS pointer"));
  CHECK(contains(error("<!DOCTYPE html>"), "looks like a web page"));
  CHECK(contains(error("\x80\x01\0\0\0\0\0\0{\"a\""s), "looks like a safetensors file"));
  CHECK(contains(error(std::string(257, 'x') + "ustar  " + std::string(300, 'x')), "is a tar archive"));
  CHECK(contains(error("\x80\x04}."), "is a plain pickle (a dict), not one that torch.save wrote"));
  CHECK(contains(error("PK\x03\x04"), "The zip archive cannot be read"));
  const TempDir dir;
  const auto path_error = [](const std::filesystem::path& path) {
    return error_of(ErrorKind::kModel, [&] { (void)io::read_torch_file(path); });
  };
  CHECK(contains(path_error(dir / "missing.pth"), "missing.pth' cannot be opened: No such file"));
  CHECK(contains(path_error(dir.path()), "is a directory, not a file"));
  CHECK(contains(path_error(golden("broken_module.pth")), "broken_module.pth': The pickle asks for"));
}

TEST_CASE("torch files cut anywhere are refused") {
  for (const char* file : {"state_zip.pth", "state_legacy.pth", "nested_zip_deflated.pth"}) {
    const std::string whole = read_text(golden(file));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      INFO(std::string(file));
      INFO(size);
      CHECK(error(whole.substr(0, size)) != "no error");
    }
  }
}

// Legacy files by hand: magic, version, system, the object, the keys of the storages, and their data.
const std::string kMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
std::string legacy(const std::string& object, const std::string& keys = "](S'0'\ne.",
                   const std::string& data = "\x02\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\xc0"s,
                   const std::string& version = "I1001\n.") {
  return kMagic + version + "}." + object + keys + data;
}
std::string storage(const std::string& type = "ctorch\nFloatStorage\n", const std::string& numel = "I2\n",
                    const std::string& view = "N") {
  return "(S'storage'\n" + type + "S'0'\nS'cpu'\n" + numel + view + "tQ";
}
std::string tensor(const std::string& offset, const std::string& size, const std::string& stride,
                   const std::string& from = storage(), const std::string& function = "_rebuild_tensor") {
  return "ctorch._utils\n" + function + "\n(" + from + offset + "(" + size + "t(" + stride + "ttR.";
}

TEST_CASE("torch legacy tensors by hand") {
  const json one_two = {{"tensor", "F32"}, {"shape", {2}}, {"data", "0000803f000000c0"}};
  CHECK(golden_value(*parse(legacy(tensor("I0\n", "I2\n", "I1\n"))).root) == one_two);
  const json last = {{"tensor", "F32"}, {"shape", {1}}, {"data", "000000c0"}};
  CHECK(golden_value(*parse(legacy(tensor("I1\n", "I1\n", "I7\n"))).root) == last);
  // A window of the storage, as files before version 0.4 have it.
  const std::string window = storage("ctorch\nFloatStorage\n", "I2\n", "(S'1'\nI1\nI1\nt");
  CHECK(golden_value(*parse(legacy(tensor("I0\n", "I1\n", "I1\n", window))).root) == last);
  CHECK(
      contains(error(legacy(tensor("I0\n", "I2\n", "I1\n", window))), "reaches outside of its storage '0'"));
  const std::string beyond = storage("ctorch\nFloatStorage\n", "I2\n", "(S'1'\nI1\nI2\nt");
  CHECK(contains(error(legacy(tensor("I0\n", "I1\n", "I1\n", beyond))),
                 "has a view outside of its storage '0'"));
  // The storage of a CUDA tensor, by its old name.
  const std::string cuda = storage("ctorch.cuda\nFloatStorage\n");
  CHECK(golden_value(*parse(legacy(tensor("I0\n", "I2\n", "I1\n", cuda))).root) == one_two);
  // _rebuild_tensor_v3 gives bytes their type.
  const std::string bytes = storage("ctorch\nUntypedStorage\n", "I8\n");
  const std::string v3 =
      "ctorch._utils\n_rebuild_tensor_v3\n(" + bytes + "I0\n(I2\nt(I1\ntI00\nNctorch\nfloat32\ntR.";
  const std::string eight = "\x08\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\xc0"s;
  CHECK(golden_value(*parse(legacy(v3, "](S'0'\ne.", eight)).root) == one_two);
}

TEST_CASE("torch views outside of their storage are refused") {
  const std::string outside = "reaches outside of its storage '0', which has 2 elements";
  for (const auto& view :
       std::vector<std::array<std::string, 3>>{{"I1\n", "I2\n", "I1\n"},
                                               {"I-1\n", "I1\n", "I1\n"},
                                               {"I3\n", "I0\n", "I1\n"},
                                               {"I2\n", "I1\n", "I1\n"},
                                               {"I0\n", "I2\n", "I2\n"},
                                               {"I0\n", "I2\n", "I9223372036854775807\n"},
                                               {"I9223372036854775807\n", "I1\n", "I1\n"},
                                               {"I0\n", "I4611686018427387904\nI4\n", "I0\nI0\n"}}) {
    INFO(concat(view[0], view[1], view[2]));
    CHECK(contains(error(legacy(tensor(view[0], view[1], view[2]))), outside));
  }
  CHECK(contains(error(legacy(tensor("I0\n", "I-2\n", "I1\n"))), "a negative size: -2"));
  CHECK(contains(error(legacy(tensor("I0\n", "I2\n", "I-1\n"))), "a negative stride: -1"));
  CHECK(contains(error(legacy(tensor("I0\n", "I2\nI1\n", "I1\n"))), "2 sizes and 1 strides"));
  CHECK(contains(error(legacy(tensor("N", "I2\n", "I1\n"))), "has None as the offset of a tensor"));
  CHECK(contains(error(legacy(tensor("I0\n", "N", "I1\n"))), "has None as the size of a tensor"));
  CHECK(contains(error(legacy(tensor("I0\n", "I2\n", "I1\n", "N"))), "from None instead of a storage"));
  CHECK(contains(error(legacy("ctorch._utils\n_rebuild_tensor\n)R.")), "with 0 arguments, which is too few"));
  CHECK(contains(error(legacy(tensor("I0\n", "I1000000000\n", "I0\n"))), "repeat their storages so often"));
}

TEST_CASE("torch legacy files that contradict themselves are refused") {
  const std::string good = tensor("I0\n", "I2\n", "I1\n");
  const std::string keys = "](S'0'\ne.";
  const std::string data = "\x02\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\xc0"s;
  CHECK(error(legacy(good)) == "no error");
  CHECK(contains(error(legacy(good, keys, data, "I1000\n.")),
                 "another version of PyTorch's legacy format than 1001"));
  CHECK(contains(error(legacy(good, "N.")), "lacks the list of its storages"));
  CHECK(contains(error(legacy(good, "].")), "has no values for the storage '0'"));
  CHECK(contains(error(legacy(good, "](S'1'\ne.")), "lists a storage that its pickle does not mention"));
  CHECK(contains(error(legacy(good, "](I0\ne.")), "lists a storage that its pickle does not mention"));
  CHECK(contains(error(legacy(good, "](S'0'\nS'0'\ne.", data + data)), "lists the storage '0' twice"));
  CHECK(contains(error(legacy(good, keys, "\x02")), "is truncated before the storage '0'"));
  CHECK(contains(error(legacy(good, keys, "\x03" + data.substr(1))),
                 "has 3 elements in the file, but 2 in its pickle"));
  CHECK(contains(error(legacy(good, keys, data.substr(0, 15))),
                 "inside the storage '0': 7 of 8 bytes are there"));
  const auto load = [&](const std::string& s) { return error(legacy(tensor("I0\n", "I2\n", "I1\n", s))); };
  CHECK(contains(load(storage("ctorch\nFloatStorage\n", "I-1\n")), "has a storage of -1 elements"));
  CHECK(contains(load(storage("ctorch\nFloatStorage\n", "I288230376151711745\n")),
                 "has a storage of 288230376151711745"));
  CHECK(contains(load(storage("N")), "gives a storage the type None"));
  CHECK(contains(load("NQ"), "a persistent id that does not name a PyTorch storage"));
  CHECK(contains(load("(S'other'\ntQ"), "a persistent id that does not name a PyTorch storage"));
  CHECK(contains(load("(S'module'\nNNNtQ"), "holds a whole pickled model"));
  CHECK(contains(load(storage() + "0" + storage("ctorch\nLongStorage\n")),
                 "describes the storage '0' in two ways"));
  CHECK(contains(error(legacy("ctorch._utils\n_rebuild_parameter\n(NtR.")), "a parameter from None"));
  CHECK(contains(error(legacy("ctorch\nSize\n(NtR.")), "builds a torch.Size from None"));
  CHECK(contains(error(legacy("ctorch\ndevice\n(NtR.")), "builds a torch.device from None"));
  CHECK(contains(error(legacy("ctorch\nFloatStorage\n.", "].")),
                 "holds the class 'torch.FloatStorage' as a value"));
  CHECK(contains(error(legacy("cargparse\nNamespace\n.")), "the global 'argparse.Namespace'"));
}

int count_tensors(const io::PickleValue& value) {
  if (std::holds_alternative<Tensor>(value.v)) return 1;
  int count = 0;
  if (const auto* dict = std::get_if<PickleDict>(&value.v))
    for (const auto& [key, item] : dict->items) count += count_tensors(*item);
  if (const auto* list = std::get_if<io::PickleList>(&value.v))
    for (const auto& item : list->items) count += count_tensors(*item);
  return count;
}

TEST_CASE("torch real checkpoints are read whole") {
  const std::filesystem::path models = data_dir() / "models";
  if (data_dir().empty() || !std::filesystem::exists(models / "yunet_n.pth"))
    AIKD_SKIP("no real models here");
  struct Real {
    const char *file, *container, *where;
    int tensors;
    std::size_t entries;
    double sum_of_squares;  // of all float32 values of the state_dict, as PyTorch adds them in double
  };
  for (const Real& real :
       {Real{"mobilefacenet_arcface_casia.pth", "legacy", "", 333, 333, 3789.1853666332636},
        Real{"mobilefacenet_v2_ms1m.pt", "legacy", "", 307, 307, 1156459.0171447333},
        Real{"yunet_n.pth", "zip", "state_dict", 362, 208, 449823246.9573382}}) {
    INFO(std::string(real.file));
    const TorchFile file = io::read_torch_file(models / real.file);
    std::string where;
    const std::vector<io::StateDictEntry> state = io::find_state_dict(file, &where);
    double sum = 0;
    for (const io::StateDictEntry& entry : state) {
      if (entry.tensor.dtype() != DType::kF32) continue;
      for (const float x : entry.tensor.values<float>())
        sum += static_cast<double>(x) * static_cast<double>(x);
    }
    CHECK(file.container == real.container);
    CHECK(where == real.where);
    CHECK(count_tensors(*file.root) == real.tensors);
    CHECK(state.size() == real.entries);
    CHECK_FALSE(!(std::abs(sum - real.sum_of_squares) <= 1e-9 * real.sum_of_squares));
    MESSAGE(std::string(real.file), ": ", state.size(), " tensors, sum of squares ", sum);
  }
}

}  // namespace
}  // namespace aikd::test
