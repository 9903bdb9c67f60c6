#include "aikd/label_table.h"

#include "io/pickle.h"
#include "tensor/error.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;
using aikd::test::TempDir;
using aikd::test::write_text;

TEST_CASE("label table: labels in every form") {
  const TempDir dir;
  const auto read = [&](const std::string& text, const std::string& column = "") {
    write_text(dir / "l", text);
    QualityLabels labels;
    labels.read(dir / "l", KeyRule(), column);
    return labels;
  };
  const auto value = [&](const std::string& text, const std::string& column = "") {
    const QualityLabels labels = read(text, column);
    return labels.by_key().at("a b.jpg").value;
  };
  CHECK(value("path,label\na b.jpg,2.5\n") == 2.5);
  CHECK(value("\xEF\xBB\xBF"
              "File\tQuality\na b.jpg\t-1e-3\r\n\r\n") == -1e-3);
  CHECK(value("x,score,name\n1,0.125,a b.jpg\n") == 0.125);
  CHECK(value("path,label,flip\na b.jpg,1,3\n", "flip") == 3);
  CHECK(value("a b.jpg,7\nc.jpg,8\n") == 7);
  CHECK(value("a b.jpg 7.5\nc.jpg 8\n") == 7.5);
  CHECK(read("path,label\na,NA\nb,\nc,null\nd,None\ne,N/A\nf,1\n").not_available().size() == 5);

  const auto bytes = write_label_pickle({{"a b.jpg", -0.1}, {"\xff", 3}});
  CHECK(value({bytes.begin(), bytes.end()}) == -0.1);
  CHECK(read({bytes.begin(), bytes.end()}).by_key().at("\xff").value == 3);
  const auto floats = io::write_score_pickle({{"a b.jpg", 0.3F}});  // numpy.float32
  CHECK(value({floats.begin(), floats.end()}) == static_cast<double>(0.3F));
  CHECK(value("(dS'a b.jpg'\nI4\ns.") == 4);

  const auto fails = [&](const std::string& text, const std::string& sentence,
                         const std::string& column = "") {
    const std::string got = message_of([&] { read(text, column); });
    CHECK_CONTAINS(got, concat("'", (dir / "l").string(), "'"));
    CHECK_CONTAINS(got, sentence);
  };
  fails("", "the file of labels is empty");
  fails("path,label\na,nan\n", "line 2: the label of 'a' is nan, not a finite number");
  fails("path,label\nb,1\na,-inf\n", "line 3: the label of 'a' is -inf, not a finite number");
  fails("path,label\na,good\n", "line 2: the label of 'a' is 'good', not a number");
  fails("path,label\n,1\n", "line 2: the name is empty");
  fails("path,label\na,1,2\n", "line 2: the row has 3 fields; the first one has 2");
  fails("path,label\n\"a\"b,1\n", "Line 2: a field has text behind its closing quote");
  fails("who,label\na,1\n", "no column has a usual name of an image's path ('path', 'file', 'filename'");
  fails("path,grade\na,1\n", "no column has a usual name of a label ('label', 'quality', 'quality_score'");
  fails("path,label,score\na,1,2\n",
        "the columns 'label' and 'score' can both be the label; name the right one");
  fails("path,file,label\na,b,1\n", "the columns 'path' and 'file' can both be the name of the image");
  fails("path,label\na,1\n", "there is no column 'mapped'; the columns are 'path', 'label'", "mapped");
  fails("a,1\n", "there is no header, so there is no column 'label'", "label");
  fails("lonely\n", "expected a name and a number, or a table of them with commas or tabs, got 'lonely'");
  fails("a.jpg seven\n", "line 1: the label of 'a.jpg' is 'seven', not a number");
  fails("\x80\x04]q", "pickle");
  fails("\x80\x04].", "the pickle is a list, not a dict of labels by name");
  fails("(dI1\nI4\ns.", "entry 1: the key is an integer, not a string");
  fails("(dS'a'\nS'b'\ns.", "entry 1: the label of 'a' is a string, not a number");
  fails("(dS'a'\nFnan\ns.", "entry 1: the label of 'a' is nan, not a finite number");
  CHECK_CONTAINS(message_of([&] { QualityLabels().read(dir / "gone", KeyRule()); }), "cannot be opened: ");
}
