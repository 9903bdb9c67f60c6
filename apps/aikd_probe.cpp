// aikd-probe: a quality model from a backbone and labelled images, by a linear head fitted in closed form.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "aikd/linear_probe.h"
#include "aikd/model_builder.h"
#include "aikd/score_percentiles.h"
#include "aikd/score_run.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "apps/common/terminal.h"
#include "io/table.h"
#include "io/text.h"

namespace {

namespace fs = std::filesystem;
using aikd::ErrorKind;

struct Options {
  std::string model, images, labels, column = "utility", group = "identity", landmarks, out,
                                     map = "percentiles";
  double holdout = 0.25;
  int threads = 0, batch = 8;
  bool no_exif = false, quiet = false, progress = false;
};

struct Table {
  std::vector<std::string> paths, groups;
  std::vector<double> labels;
  std::vector<std::string> other_names;  // numeric columns besides label, group and path
  std::vector<std::vector<double>> others;
};

Table read_table(const Options& o) {
  std::ifstream in(o.labels, std::ios::binary);
  aikd::require(static_cast<bool>(in), ErrorKind::kUsage, "The labels ", aikd::io::in_quotes(o.labels, 1000),
                " cannot be read.");
  aikd::io::DelimitedReader reader(in, ',');
  aikd::io::DelimitedRecord header, record;
  aikd::require(reader.next(header), ErrorKind::kUsage, "The labels ", aikd::io::in_quotes(o.labels, 1000),
                " are empty.");
  const auto column = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::find(header.fields.begin(), header.fields.end(), name);
    if (found == header.fields.end()) return std::nullopt;
    return static_cast<std::size_t>(found - header.fields.begin());
  };
  const auto path = column("path"), label = column(o.column), group = column(o.group);
  aikd::require(path.has_value(), ErrorKind::kUsage, "The labels ", aikd::io::in_quotes(o.labels, 1000),
                " have no column \"path\".");
  aikd::require(
      label.has_value(), ErrorKind::kUsage, "The labels ", aikd::io::in_quotes(o.labels, 1000),
      " have no column ", aikd::io::in_quotes(o.column), "; there are ",
      aikd::io::in_quotes(
          nlohmann::json(header.fields).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 300),
      ".");
  Table table;
  std::vector<std::vector<std::string>> rows;
  while (reader.next(record)) {
    if (record.fields.size() == 1 && record.fields[0].empty()) continue;
    aikd::require(record.fields.size() == header.fields.size(), ErrorKind::kUsage, "Line ", record.line,
                  " of ", aikd::io::in_quotes(o.labels, 1000), " must have ", header.fields.size(),
                  " fields, got ", record.fields.size(), ".");
    double value = 0;
    const std::string& text = record.fields[*label];
    aikd::require(aikd::io::parse_number(text, value) && std::isfinite(value), ErrorKind::kUsage, "Line ",
                  record.line, " of ", aikd::io::in_quotes(o.labels, 1000),
                  " must have a number in the column ", aikd::io::in_quotes(o.column), ", got ",
                  aikd::io::in_quotes(text), ".");
    table.paths.push_back(record.fields[*path]);
    table.labels.push_back(value);
    table.groups.push_back(group ? record.fields[*group] : std::to_string(table.paths.size()));
    rows.push_back(record.fields);
  }
  for (std::size_t c = 0; c < header.fields.size(); ++c) {
    if (c == *path || c == *label || (group && c == *group)) continue;
    std::vector<double> values(rows.size());
    const bool numeric = std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
      return aikd::io::parse_number(row[c], values[static_cast<std::size_t>(&row - rows.data())]);
    });
    if (!numeric) continue;
    table.other_names.push_back(header.fields[c]);
    table.others.push_back(std::move(values));
  }
  return table;
}

struct Features {
  std::vector<float> values;  // n x d, of the rows that could be read
  std::vector<std::size_t> rows;
  std::size_t failed = 0;
};

Features embed(const Options& o, const Table& table, aikd::Scorer& scorer, aikd::Context& context,
               aikd::apps::Console& console) {
  std::optional<aikd::LandmarkFile> landmarks;
  if (!o.landmarks.empty()) landmarks = aikd::LandmarkFile::read(o.landmarks);
  aikd::PrepareOptions prepare;
  prepare.landmarks = landmarks ? &*landmarks : nullptr;
  prepare.decode.apply_exif_orientation = !o.no_exif;
  prepare.width = scorer.model().preprocessing().width;
  prepare.height = scorer.model().preprocessing().height;
  const auto d = static_cast<std::size_t>(scorer.model().embedding_size());
  Features out;
  aikd::kernels::Context threads;
  threads.executor = &context.pool();
  const std::size_t chunk = 64, n = table.paths.size();
  std::vector<aikd::PreparedFace> faces(chunk);
  for (std::size_t begin = 0; begin < n; begin += chunk) {
    if (aikd::apps::stop_signal() != 0) return out;
    const std::size_t count = std::min(chunk, n - begin);
    aikd::kernels::parallel_for(threads, static_cast<std::ptrdiff_t>(count), [&](std::ptrdiff_t i, int) {
      const auto k = static_cast<std::size_t>(i);
      faces[k] = aikd::prepare_face((fs::path(o.images) / table.paths[begin + k]).string(), prepare);
    });
    std::vector<std::uint8_t> pixels;
    const std::size_t before = out.rows.size();
    for (std::size_t i = 0; i < count; ++i) {
      if (!faces[i].row.ok()) {
        ++out.failed;
        console.warn(
            aikd::concat(aikd::io::in_quotes(faces[i].row.path, 1000), " is left out: ", faces[i].row.error));
        continue;
      }
      pixels.insert(pixels.end(), faces[i].crop.pixels.begin(), faces[i].crop.pixels.end());
      out.rows.push_back(begin + i);
    }
    const std::size_t added = out.rows.size() - before;
    out.values.resize(out.rows.size() * d);
    if (added > 0) {
      scorer.score(pixels, static_cast<std::int64_t>(added),
                   std::span(out.values).subspan(before * d, added * d));
    }
    console.progress(static_cast<std::int64_t>(begin + count), static_cast<std::int64_t>(n),
                     static_cast<std::int64_t>(out.failed));
  }
  return out;
}

// Every k-th group, in order of appearance, is held out.
std::vector<bool> held_out(const Table& table, const Features& features, double fraction,
                           std::size_t& groups) {
  const auto every = static_cast<std::size_t>(std::max(2.0, std::floor(1.0 / fraction + 0.5)));
  std::unordered_map<std::string, std::size_t> numbers;
  std::vector<bool> out;
  for (const std::size_t row : features.rows) {
    const auto it = numbers.try_emplace(table.groups[row], numbers.size()).first;
    out.push_back(it->second % every == every - 1);
  }
  groups = numbers.size();
  return out;
}

struct Report {
  std::size_t fitted = 0, tested = 0, groups = 0;
  double lambda = 0, loo_rmse = 0, r2 = 0, spearman = 0;
  std::vector<std::pair<std::string, double>> by_column;
};

std::string as_text(const Report& r, const std::string& column) {
  const auto number = [](double v) {
    return std::isnan(v) ? std::string("n/a") : aikd::io::format_fixed(v, 4);
  };
  std::string out = aikd::concat("fitted on          ", r.fitted, " images, tested on ", r.tested,
                                 " of other groups (", r.groups, " groups in all)\n");
  out += aikd::concat("ridge penalty      ", aikd::io::format_number(r.lambda), " (leave-one-out RMSE ",
                      number(r.loo_rmse), ")\n");
  out += aikd::concat("held-out R^2       ", number(r.r2), "\n");
  out += aikd::concat("held-out Spearman  ", number(r.spearman), " with ", column, "\n");
  for (const auto& [name, value] : r.by_column)
    out += aikd::concat("                   ", number(value), " with ", aikd::io::escape_for_terminal(name),
                        "\n");
  return out;
}

int fit(const Options& o) {
  const Table table = read_table(o);
  aikd::apps::watch_stop_signals();
  aikd::apps::Console console("aikd-probe", o.quiet,
                              !o.quiet && (o.progress || aikd::apps::is_terminal(STDERR_FILENO)));
  const std::shared_ptr<const aikd::Model> model = aikd::Model::load(o.model);
  aikd::Context context(aikd::Device::cpu(), o.threads);
  aikd::nn::PlanOptions plan;
  plan.max_batch = o.batch;
  aikd::Scorer scorer(model, context, plan);
  const Features features = embed(o, table, scorer, context, console);
  console.finish_progress();
  if (const int signal = aikd::apps::stop_signal(); signal != 0) return 128 + signal;

  Report report;
  const auto d = static_cast<std::size_t>(model->embedding_size());
  const std::vector<bool> test = held_out(table, features, o.holdout, report.groups);
  std::vector<float> x;
  std::vector<double> y;
  for (std::size_t i = 0; i < test.size(); ++i) {
    if (test[i]) continue;
    x.insert(x.end(), features.values.begin() + static_cast<std::ptrdiff_t>(i * d),
             features.values.begin() + static_cast<std::ptrdiff_t>((i + 1) * d));
    y.push_back(table.labels[features.rows[i]]);
  }
  report.fitted = y.size();
  report.tested = test.size() - y.size();
  aikd::require(report.fitted >= 3 && report.tested >= 3, ErrorKind::kUsage,
                "Fitting and testing need at least 3 images each, got ", report.fitted, " and ",
                report.tested, " (", report.groups, " groups, one in ",
                aikd::io::format_number(1.0 / o.holdout), " held out).");
  const aikd::LinearProbe probe = aikd::fit_linear_probe(x, d, y);
  report.lambda = probe.lambda;
  report.loo_rmse = std::sqrt(probe.loo_error);

  std::vector<double> truth, predicted;
  std::vector<float> scores;
  std::vector<std::vector<double>> others(table.others.size());
  for (std::size_t i = 0; i < test.size(); ++i) {
    if (!test[i]) continue;
    truth.push_back(table.labels[features.rows[i]]);
    predicted.push_back(probe.predict(std::span(features.values).subspan(i * d, d)));
    scores.push_back(static_cast<float>(predicted.back()));
    for (std::size_t c = 0; c < others.size(); ++c) others[c].push_back(table.others[c][features.rows[i]]);
  }
  report.r2 = aikd::r_squared(truth, predicted);
  report.spearman = aikd::spearman(truth, predicted);
  for (std::size_t c = 0; c < others.size(); ++c)
    report.by_column.emplace_back(table.other_names[c], aikd::spearman(others[c], predicted));

  std::sort(scores.begin(), scores.end());
  std::string map = o.map == "linear" ? "linear:" : "percentiles:";
  for (int p = 0; p <= 100; p += o.map == "linear" ? 100 : 1) {
    map += (p == 0 ? "" : ",") + aikd::io::format_number(aikd::percentile(scores, p));
  }
  nlohmann::ordered_json about;
  about["labels"] = fs::path(o.labels).filename().string();
  about["column"] = o.column;
  about["fitted_images"] = report.fitted;
  about["held_out_images"] = report.tested;
  about["held_out_r2"] = report.r2;
  about["held_out_spearman"] = report.spearman;
  about["lambda"] = report.lambda;
  const auto made = aikd::with_linear_head(
      *model, probe, aikd::ScoreMap::parse(map),
      {{"aikd.probe", about.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
       {"aikd.probe_backbone_sha256", model->sha256()}});
  aikd::save_model(*made, o.out);
  const std::string text = as_text(report, o.column);
  aikd::require(std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0, ErrorKind::kOutput,
                "Standard output cannot be written.");
  console.note(aikd::concat("wrote ", aikd::io::in_quotes(o.out, 1000),
                            "; the head is fitted, the backbone is as it was."));
  return features.failed == 0 ? aikd::apps::kExitOk : aikd::apps::kExitSomeFailed;
}

int body(int argc, char** argv) {
  Options o;
  CLI::App app(
      "Fits a linear quality head on a backbone's embeddings of labelled images (ridge regression, penalty "
      "by "
      "leave-one-out) and writes a model. Prints how well it does on held-out groups. Exit code 1: some "
      "images could "
      "not be used.");
  app.set_version_flag("--version", aikd::apps::version_line("aikd-probe"));
  app.add_option("--model,-m", o.model, "Model file with the backbone; a head in it is replaced")
      ->required()
      ->group("Input");
  app.add_option("--images", o.images, "Folder the paths of the labels start from")
      ->required()
      ->group("Input");
  app.add_option("--labels", o.labels, "CSV with a header: path, the label's column, others")
      ->required()
      ->group("Input");
  app.add_option("--column", o.column, "What to predict")->capture_default_str()->group("Input");
  app.add_option("--group", o.group, "Column whose values are never split between fitting and testing")
      ->capture_default_str()
      ->group("Input");
  app.add_option("--landmarks", o.landmarks, "Align by these (CSV, JSON, pickle); else images are resized")
      ->group("Input");
  app.add_flag("--no-exif", o.no_exif, "Ignore EXIF orientation")->group("Input");
  app.add_option("--holdout", o.holdout, "Share of the groups to test on")
      ->check(CLI::Range(0.01, 0.5))
      ->capture_default_str()
      ->group("Fitting");
  app.add_option("--score-map", o.map,
                 "Mapping to 0..100 from held-out scores: percentiles, or linear from least to greatest")
      ->check(CLI::IsMember({"percentiles", "linear"}))
      ->capture_default_str()
      ->group("Fitting");
  app.add_option("--out,-o", o.out, "Model file to write")->required()->group("Output");
  app.add_option("--threads", o.threads, "0: all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group("Running");
  app.add_option("--batch", o.batch, "Images per run of the network")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->group("Running");
  app.add_flag("--quiet,-q", o.quiet, "Only errors on stderr")->group("Running");
  app.add_flag("--progress", o.progress, "Show progress also where stderr is no terminal")->group("Running");
  if (!aikd::apps::parse_command_line(app, argc, argv)) return aikd::apps::kExitOk;
  return fit(o);
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
