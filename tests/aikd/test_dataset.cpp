#include "aikd/dataset.h"

#include <limits>

#include "aikd/dataset_files.h"
#include "aikd/label_table.h"
#include "tensor/error.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;
using aikd::test::TempDir;
using aikd::test::write_text;
namespace fs = std::filesystem;

namespace {

constexpr const char* kHeader = "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n";

// A row of a landmark file; `shift` tells rows apart.
std::string face_row(const std::string& name, double shift = 0) {
  return concat(name, ",", 60 + shift, ",70,100,73,80,95,65,115,97,118\n");
}

// Empty files named like images: the dataset does not open them.
struct Folder {
  TempDir dir;
  explicit Folder(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      fs::create_directories((dir / name).parent_path());
      write_text(dir / name, "");
    }
  }
  std::string operator/(const std::string& name) const { return (dir / name).string(); }
  // `files` of this folder, made with these contents, as a dataset.
  DatasetOptions options(const std::string& landmarks, const std::string& labels) const {
    write_text(dir / "landmarks.csv", landmarks);
    write_text(dir / "labels.csv", labels);
    DatasetOptions options;
    options.images = {*this / "images"};
    options.landmarks = {*this / "landmarks.csv"};
    options.labels = {*this / "labels.csv"};
    return options;
  }
};

std::string why(const DatasetOptions& options) {
  try {
    Dataset::read(options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

Dataset numbered(std::vector<double> labels, int per_identity = 2) {
  std::vector<DatasetItem> items;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    DatasetItem item;
    item.key = concat("k", i < 10 ? "0" : "", i);
    item.path = item.key + ".png";
    item.identity = concat("id", i / static_cast<std::size_t>(per_identity));
    item.landmarks = {{{60, 70}, {100, 73}, {80, 95}, {65, 115}, {97, 118}}};
    item.label = labels[i];
    items.push_back(item);
  }
  return Dataset::make(std::move(items));
}

using Indices = std::vector<std::size_t>;

}  // namespace

TEST_CASE("dataset: joins images, landmarks and labels by key, sorted, and counts what is missing") {
  const Folder f(
      {"images/n2/b.jpg", "images/n1/a.png", "images/n1/c.JPG", "images/n3/d.jpeg", "images/n3/notes.txt"});
  const Dataset dataset = Dataset::read(
      f.options(kHeader + face_row("n1/a.png", 1) + face_row("n2/b.jpg", 2) + face_row("n3/d.jpeg", 3),
                "path,score,mapped\n./n2/b.jpg,0.5,50\nn1//a.png,-0.25,10\nn1/c.JPG,1,1\nn9/x.jpg,2,2\n"
                "n3/d.jpeg,NA,NA\n"));
  REQUIRE(dataset.size() == 2);
  const DatasetItem &a = dataset.items()[0], &b = dataset.items()[1];
  CHECK(a.key == "n1/a.png");
  CHECK(a.path == f / "images/n1/a.png");
  CHECK(a.identity == "n1");
  CHECK(a.label == -0.25);
  CHECK(a.landmarks[0] == Point{61, 70});
  CHECK(a.landmarks[4] == Point{97, 118});
  CHECK(b.key == "n2/b.jpg");
  CHECK(b.label == 0.5);
  CHECK(b.landmarks[0] == Point{62, 70});
  const DatasetReport& report = dataset.report();
  CHECK(report.images == 4);
  CHECK(report.without_landmarks.count == 1);
  CHECK(report.without_landmarks.examples == std::vector{f / "images/n1/c.JPG"});
  CHECK(report.without_label.count == 1);
  CHECK(report.without_label.examples == std::vector{f / "images/n3/d.jpeg"});
  CHECK(report.labels_without_image.count == 1);
  CHECK(report.labels_not_available == 1);
  CHECK(report.to_text() ==
        concat("1 image has no label: '", f / "images/n3/d.jpeg", "'\n1 image has no landmarks: '",
               f / "images/n1/c.JPG",
               "'\n1 label has no image: 'n9/x.jpg'\n1 label is marked as not available\n"));
  CHECK(dataset.labels(Indices{1, 0}) == std::vector<double>{0.5, -0.25});
}

TEST_CASE("dataset: the report names at most three examples") {
  const Folder f({"images/a.png", "images/b.png", "images/c.png", "images/d.png", "images/e.png"});
  const Dataset dataset = Dataset::read(f.options(kHeader + face_row("e.png"), "path,label\ne.png,1\n"));
  CHECK(dataset.report().without_label.count == 4);
  CHECK(dataset.report().without_label.examples.size() == 3);
  CHECK_CONTAINS(dataset.report().to_text(), "4 images have no label: '");
  CHECK_CONTAINS(dataset.report().to_text(), "c.png', ...\n");
}

TEST_CASE("dataset: the original's pickles with --key-root") {
  // {name: [0, [[x, y], ...]]} as text, protocol 0, and {name: float}.
  const std::vector<std::string> names{"n000001/0001_01.jpg", "n000001/0002_01.jpg", "n000002/0001_01.jpg"};
  std::string pickle = "(d", list;
  std::vector<std::string> files;
  std::vector<std::pair<std::string, double>> labels;
  for (const std::string& name : names) {
    files.push_back("data/vggface2/train/" + name);
    list += files.back() + "\n";
    labels.emplace_back(name, 0.25 + static_cast<double>(labels.size()));
    pickle += "S'" + name + "'\n(I0\n(";
    for (const Point& p : kReferenceLandmarks)
      pickle += concat("(F", p.x + static_cast<double>(labels.size()), "\nF", p.y, "\nl");
    pickle += "lls";
  }
  const Folder f(files);
  write_text(f.dir / "list.txt", list);
  write_text(f.dir / "landmarks.pkl", pickle + ".");
  const std::vector<std::uint8_t> label_bytes = write_label_pickle(labels);
  write_text(f.dir / "labels.pkl", {label_bytes.begin(), label_bytes.end()});
  DatasetOptions options;
  options.lists = {f / "list.txt"};
  options.list_root = f.dir.path().string();
  options.key_root = "vggface2/train";
  options.landmarks = {f / "landmarks.pkl"};
  options.labels = {f / "labels.pkl"};
  const Dataset dataset = Dataset::read(options);
  REQUIRE(dataset.size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const DatasetItem& item = dataset.items()[i];
    CHECK(item.key == names[i]);
    CHECK(item.path == f / files[i]);
    CHECK(item.identity == names[i].substr(0, 7));
    CHECK(item.label == labels[i].second);
    CHECK(item.landmarks[0].x == doctest::Approx(kReferenceLandmarks[0].x + static_cast<double>(i) + 1));
  }
  options.key_root = "vggface3";
  CHECK_CONTAINS(why(options), "does not lie below the key root 'vggface3'");
}

TEST_CASE("dataset: keys") {
  const KeyRule root({"/data"}, "vggface2/");
  CHECK(root.image_key("/data/vggface2/n1/1.jpg") == "n1/1.jpg");
  CHECK(root.image_key("vggface2/n1/./1.jpg") == "n1/1.jpg");
  CHECK(root.image_key("/vggface2/old/vggface2/n1/1.jpg") == "n1/1.jpg");  // the last occurrence
  CHECK(root.name_key("n1/1.jpg") == "n1/1.jpg");                          // cut already
  CHECK(root.name_key("/elsewhere/vggface2/n1/1.jpg") == "n1/1.jpg");
  CHECK_CONTAINS(message_of([&] { (void)root.image_key("/data/my_vggface2/n1/1.jpg"); }),
                 "The image '/data/my_vggface2/n1/1.jpg' does not lie below the key root 'vggface2'");
  CHECK_CONTAINS(message_of([&] { (void)root.image_key("/data/vggface2/"); }), "names no file");
  const KeyRule two({}, "vggface2/train");
  CHECK(two.image_key("/vggface2/train/n1/1.jpg") == "n1/1.jpg");
  CHECK_CONTAINS(message_of([&] { (void)two.image_key("/vggface2/test/n1/1.jpg"); }), "key root");

  const KeyRule folders({"lfw", "lfw/images/", "."}, "");
  CHECK(folders.image_key("lfw/images/A/1.jpg") == "A/1.jpg");  // the longest folder
  CHECK(folders.image_key("./lfw//images/A/1.jpg") == "A/1.jpg");
  CHECK(folders.image_key((fs::current_path() / "lfw/images/A/1.jpg").string()) == "A/1.jpg");
  CHECK(folders.name_key("A/1.jpg") == "A/1.jpg");
  CHECK(folders.image_key("lfwx/1.jpg") == "lfwx/1.jpg");
  CHECK(KeyRule().image_key("/x/1.jpg") == "/x/1.jpg");
  for (const char* bad : {"/", ".", "a/../..", ".."})
    CHECK_CONTAINS(message_of([&] { KeyRule({}, bad); }), "names no folder");
}

TEST_CASE("dataset: identities") {
  const Folder f({"images/train/031/profile/01.jpg", "images/train/032/frontal/02.jpg", "images/loose.jpg"});
  DatasetOptions options = f.options(
      kHeader + face_row("train/031/profile/01.jpg") + face_row("frontal/02.jpg", 4) + face_row("loose.jpg"),
      "path,label\ntrain/031/profile/01.jpg,1\ntrain/032/frontal/02.jpg,2\nloose.jpg,3\n");
  const auto identities = [&](int folder) {
    options.identity_folder = folder;
    std::vector<std::string> out;
    const Dataset dataset = Dataset::read(options);
    for (const DatasetItem& item : dataset.items()) out.push_back(item.identity);
    return out;
  };
  using Names = std::vector<std::string>;
  CHECK(identities(1) == Names{"loose.jpg", "train", "train"});
  CHECK(identities(2) == Names{"loose.jpg", "031", "032"});
  CHECK(identities(-1) == Names{"loose.jpg", "profile", "frontal"});
  CHECK(identities(4) == Names{"loose.jpg", "train/031/profile/01.jpg", "train/032/frontal/02.jpg"});
  options.identity_folder = 0;
  CHECK_CONTAINS(why(options), "The identity folder must be");
}

TEST_CASE("dataset: keys that collide are told with both names") {
  const Folder f({"images/A/x.jpg", "images/B/x.jpg", "more/A/x.jpg"});
  const std::string both = "path,label\nA/x.jpg,1\nB/x.jpg,2\n";
  DatasetOptions options = f.options(kHeader + face_row("A/x.jpg") + face_row("B/x.jpg", 1), both);
  CHECK(Dataset::read(options).size() == 2);
  options.images.push_back(f / "more");
  CHECK(why(options) == concat("The images '", f / "images/A/x.jpg", "' and '", f / "more/A/x.jpg",
                               "' have the same key 'A/x.jpg'."));

  options = f.options(kHeader + face_row("x.jpg"), both);
  CHECK(why(options) == concat("The landmarks 'x.jpg' of '", f / "landmarks.csv", "' fit both '",
                               f / "images/A/x.jpg", "' and '", f / "images/B/x.jpg",
                               "'; name the images in that file by more of their path."));

  options = f.options(kHeader + face_row("A/x.jpg"), "path,label\nA/x.jpg,1\nA//x.jpg,1\n");
  CHECK(why(options) == concat("'", f / "labels.csv",
                               "', line 3: the name 'A//x.jpg' has the same key 'A/x.jpg' ",
                               "as 'A/x.jpg' of '", f / "labels.csv", "', line 2."));
  write_text(f.dir / "labels.csv", both);
  write_text(f.dir / "more.csv", "path,label\nB/x.jpg,2\n");
  options.labels.push_back(f / "more.csv");
  CHECK_CONTAINS(why(options), "more.csv', line 2: the name 'B/x.jpg' has the same key");

  options = f.options(kHeader + face_row("A/x.jpg"), both);
  write_text(f.dir / "other.csv", kHeader + face_row("A/x.jpg", 7));
  options.landmarks.push_back(f / "other.csv");
  CHECK_CONTAINS(why(options), concat("has landmarks in '", f / "landmarks.csv", "' and other ones in '",
                                      f / "other.csv", "'; give one of the files."));
  write_text(f.dir / "other.csv", kHeader + face_row("A/x.jpg"));  // the same ones are no conflict
  CHECK(Dataset::read(options).size() == 1);
}

TEST_CASE("dataset: landmarks are found by the tail of the path, whatever folder the file starts from") {
  const Folder f({"images/A/x.jpg", "images/B/y.jpg"});
  const Dataset dataset = Dataset::read(f.options(
      kHeader + face_row("images/A/x.jpg", 1) + face_row("y.jpg", 2), "path,label\nA/x.jpg,1\nB/y.jpg,2\n"));
  REQUIRE(dataset.size() == 2);
  CHECK(dataset.items()[0].landmarks[0].x == 61);
  CHECK(dataset.items()[1].landmarks[0].x == 62);
}

TEST_CASE("dataset: what is empty") {
  const Folder f({"images/A/x.jpg", "empty/readme.md"});
  CHECK(why({}) == "The dataset is empty: no image folder or list was given.");
  DatasetOptions options = f.options(kHeader + face_row("B/x.jpg"), "path,label\nB/x.jpg,1\n");
  CHECK(
      why(options) ==
      concat(
          "The dataset is empty: none of its 1 image has both a label and landmarks. 1 image has no label: '",
          f / "images/A/x.jpg", "'; 1 image has no landmarks: '", f / "images/A/x.jpg",
          "'; 1 label has no image: 'B/x.jpg'."));
  options.images = {f / "empty"};
  CHECK(why(options) == concat("The dataset is empty: no image was found in '", f / "empty", "'."));
  options.images = {};
  options.lists = {f / "gone.txt"};
  CHECK_CONTAINS(why(options), "The image list '" + (f / "gone.txt") + "' cannot be opened: ");
  options.lists = {f / "empty"};
  CHECK_CONTAINS(why(options), "is a folder.");
  CHECK_CONTAINS(message_of([&] { list_images(f / "gone"); }), "cannot be listed: ");
}

TEST_CASE("dataset: landmarks that are refused") {
  const Folder f({"images/A/x.jpg"});
  const std::string labels = "path,label\nA/x.jpg,1\n";
  CHECK_CONTAINS(why(f.options("path,lx,ly,rx,ry,nx,ny,mlx,mly\nA/x.jpg,1,2,3,4,5,6,7,8\n", labels)),
                 "landmarks.csv', line 1: the header has no column 'mrx'");
  CHECK_CONTAINS(why(f.options(R"({"A/x.jpg": [[1,2],[3,4],[5,6],[7,8]]})", labels)),
                 "landmarks.csv', entry 'A/x.jpg': the array of points has 4 elements");
  CHECK_CONTAINS(why(f.options(kHeader + std::string("A/x.jpg,nan,2,3,4,5,6,7,8,9,10\n"), labels)),
                 "the coordinate lx is 'nan', not a number");

  const auto degenerate = [&](const std::string& points, const std::string& sentence) {
    DatasetOptions options = f.options(kHeader + ("A/x.jpg," + points + "\n"), labels);
    const std::string text = why(options);
    CHECK_CONTAINS(text,
                   concat("The landmarks of 'A/x.jpg' in '", f / "landmarks.csv", "' are degenerate: "));
    CHECK_CONTAINS(text, sentence);
    options.drop_degenerate = true;
    const std::string dropped = why(options);  // the only image
    CHECK_CONTAINS(dropped, "1 image has degenerate landmarks and is left out");
  };
  degenerate("50,50,50,50,50,50,50,50,50,50", "the five points coincide: they spread by 0.000 pixels");
  degenerate("50,50,51,50,50.5,50.7,50,51,51,51", "the five points coincide");
  degenerate("10,10,20,20,30,30,40,40,50,50", "the five points lie on a line: they spread by");
  degenerate("10,10,20,20.1,30,30,40,40,50,50.1", "the five points lie on a line");
}

TEST_CASE("dataset: the criterion of degenerate landmarks") {
  CHECK(degenerate_landmarks(kReferenceLandmarks).empty());
  Landmarks small = kReferenceLandmarks;  // a face of 8 x 8 pixels is tiny, not degenerate
  for (Point& p : small) p = {p.x / 14, p.y / 14};
  CHECK(degenerate_landmarks(small).empty());
  Landmarks squeezed = kReferenceLandmarks;  // all but a line: s2 / s1 = 0.05 is the limit
  for (Point& p : squeezed) p.x = 56 + (p.x - 56) * 0.08;
  CHECK(degenerate_landmarks(squeezed).empty());
  for (Point& p : squeezed) p.x = 56 + (p.x - 56) * 0.5;
  CHECK_CONTAINS(degenerate_landmarks(squeezed), "lie on a line");
  Landmarks broken = kReferenceLandmarks;
  broken[3].y = std::numeric_limits<double>::infinity();
  CHECK(degenerate_landmarks(broken) == "a coordinate is not a finite number");
  // Dataset::make checks too.
  DatasetItem item;
  item.key = "k";
  item.landmarks = squeezed;
  CHECK_CONTAINS(message_of([&] { Dataset::make({item}); }), "The landmarks of 'k' are degenerate: ");
  item.landmarks = kReferenceLandmarks;
  item.label = std::numeric_limits<double>::quiet_NaN();
  CHECK_CONTAINS(message_of([&] { Dataset::make({item}); }), "The label of 'k' is nan, not a finite number.");
  CHECK_CONTAINS(message_of([&] { Dataset::make({}); }), "The dataset is empty");
}

TEST_CASE("dataset: split by stride of the quality order, ties by key") {
  const Dataset dataset = numbered({5, 1, 3, 3, 3, 2, 9, 0, 3, 4});
  // Order: 7(0) 1(1) 5(2) 2(3) 3(3) 4(3) 8(3) 9(4) 0(5) 6(9); every third from the first.
  const Split split = split_by_stride(dataset, 3);
  CHECK(split.validation == Indices{2, 6, 7, 8});
  CHECK(split.training == Indices{0, 1, 3, 4, 5, 9});
  CHECK(split_by_stride(dataset, 100).validation == Indices{7});
  CHECK(split_by_stride(numbered({1, 2}), 2).training.size() == 1);
  CHECK(split_by_stride(numbered(std::vector<double>(90, 1.0)), 10).validation.size() == 9);
  CHECK_CONTAINS(message_of([&] { split_by_stride(dataset, 1); }),
                 "The validation stride must be at least 2, got 1");
  CHECK_CONTAINS(message_of([&] { split_by_stride(numbered({1}), 2); }), "The dataset has 1 image");
}

TEST_CASE("dataset: split by identity") {
  std::vector<double> labels(24, 0.5);
  const Dataset dataset = numbered(labels);  // id0 ... id11, two images each
  // Of id0 ... id11 an independent computation in Python holds out id0, id4 and id9.
  const Split split = split_by_identity(dataset, 0.3, 7);
  CHECK(split.validation == Indices{0, 1, 8, 9, 18, 19});
  CHECK(split.training.size() == 18);
  CHECK_CONTAINS(message_of([&] { split_by_identity(dataset, 0, 7); }), "must lie between 0 and 1, got 0");
  CHECK_CONTAINS(message_of([&] { split_by_identity(dataset, 1, 7); }), "must lie between 0 and 1, got 1");
  CHECK_CONTAINS(message_of([&] { split_by_identity(dataset, 1e-9, 7); }),
                 "leaves nothing for validation: there are 12 identities, such as 'id0'.");
  CHECK_CONTAINS(message_of([&] { split_by_identity(dataset, 1 - 1e-9, 7); }), "leaves nothing for training");

  const TempDir dir;
  write_text(dir / "held.txt", "id3\t17\r\nid5\n\nNobody\n");
  const Split listed = split_by_list(dataset, dir / "held.txt");
  CHECK(listed.validation == Indices{6, 7, 10, 11});
  CHECK(listed.training.size() == 20);
  CHECK(listed.unknown_identities == 1);
  write_text(dir / "held.txt", "Nobody\n");
  CHECK_CONTAINS(message_of([&] { split_by_list(dataset, dir / "held.txt"); }),
                 "None of the 1 identities of");
  std::string all;
  for (int i = 0; i < 12; ++i) all += concat("id", i, "\n");
  write_text(dir / "held.txt", all);
  CHECK_CONTAINS(message_of([&] { split_by_list(dataset, dir / "held.txt"); }),
                 "All 12 identities of the dataset are held out by");
  CHECK_CONTAINS(message_of([&] { split_by_list(dataset, dir / "gone.txt"); }), "cannot be opened");
}

TEST_CASE("dataset: real faces, no landmarks degenerate") {
  const fs::path data = aikd::test::data_dir();
  if (data.empty()) AIKD_SKIP("no real data here");
  const TempDir dir;
  DatasetOptions options;
  options.images = {(data / "lfw/images").string(), (data / "cfp/images").string()};
  options.landmarks = {(data / "lfw/landmarks.csv").string(), (data / "cfp/landmarks.csv").string()};
  std::string labels = "path,label\n";
  for (const std::string& folder : options.images) {
    const KeyRule keys({folder}, "");
    int i = 0;
    for (const std::string& path : list_images(folder))
      labels += concat(keys.image_key(path), ",", i++ % 97, "\n");
  }
  write_text(dir / "labels.csv", labels);
  options.labels = {(dir / "labels.csv").string()};
  const Dataset dataset = Dataset::read(options);
  CHECK(dataset.report().images == 16715);
  CHECK(dataset.report().without_landmarks.count == 9);  // CFP: real failures to detect
  CHECK(dataset.size() == 16706);
  CHECK(split_by_stride(dataset, 100).validation.size() == 168);
}
