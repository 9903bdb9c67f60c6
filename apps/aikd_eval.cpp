// aikd-eval: measures on embeddings and scores. Subcommands stand one function each; so far: verification.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "aikd/verification.h"
#include "apps/common/output.h"
#include "apps/common/program.h"
#include "io/text.h"

namespace {

using aikd::ErrorKind;

std::string printed(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

struct VerificationOptions {
  std::string embeddings, pairs, root, extension = ".jpg", output = "-";
  bool json = false;
};

struct VerificationRun {
  aikd::Verification result;
  std::size_t images = 0, pairs = 0, missing_pairs = 0;
  std::vector<std::string> missing;  // names without an embedding, each once
};

VerificationRun run_verification(const VerificationOptions& o) {
  const aikd::EmbeddingSet embeddings = aikd::EmbeddingSet::read(o.embeddings);
  const aikd::PairList list = aikd::read_pairs(o.pairs, o.extension);
  VerificationRun run;
  run.images = embeddings.size();
  run.pairs = list.pairs.size();
  std::unordered_map<std::string, std::size_t> rows;
  const auto row_of = [&](const std::string& name) {
    const auto [it, is_new] = rows.try_emplace(name, aikd::EmbeddingSet::kNone);
    if (is_new) {
      const std::string path =
          o.root.empty() ? name : (std::filesystem::path(o.root) / name).lexically_normal().string();
      it->second = embeddings.find(path);
      if (it->second == aikd::EmbeddingSet::kNone) run.missing.push_back(path);
    }
    return it->second;
  };
  std::vector<aikd::ScoredPair> scored;
  for (const aikd::NamedPair& pair : list.pairs) {
    const std::size_t a = row_of(pair.a), b = row_of(pair.b);
    if (a == aikd::EmbeddingSet::kNone || b == aikd::EmbeddingSet::kNone) {
      ++run.missing_pairs;
      continue;
    }
    scored.push_back({embeddings.cosine(a, b), pair.same, pair.fold});
  }
  if (scored.empty()) {
    aikd::fail(ErrorKind::kInput, "None of the ", run.pairs, " pairs of ", aikd::io::in_quotes(o.pairs, 1000),
               " has both embeddings in ", aikd::io::in_quotes(o.embeddings, 1000),
               "; the first name looked for without one is ", aikd::io::in_quotes(run.missing.at(0), 1000),
               ", the first one there ",
               embeddings.size() == 0 ? "none" : aikd::io::in_quotes(embeddings.paths()[0], 1000),
               " (see --root and --extension).");
  }
  run.result = aikd::verify(scored, list.folds);
  return run;
}

std::string as_json(const VerificationRun& run) {
  const aikd::Verification& v = run.result;
  nlohmann::ordered_json out;
  out["images"] = run.images;
  out["pairs"] = run.pairs;
  out["pairs_without_embeddings"] = run.missing_pairs;
  out["images_without_embeddings"] = run.missing.size();
  out["genuine"] = v.genuine;
  out["impostor"] = v.impostor;
  out["accuracy"] = v.accuracy;
  out["accuracy_standard_error"] = v.standard_error;
  for (const aikd::FoldResult& fold : v.folds) {
    out["folds"].push_back(
        {{"accuracy", fold.accuracy}, {"threshold", fold.threshold}, {"pairs", fold.pairs}});
  }
  out["auc"] = v.auc;
  out["eer"] = v.eer;
  out["eer_threshold"] = v.eer_threshold;
  for (const aikd::ErrorAtRate& at : v.at) {
    out["fnmr_at_fmr"].push_back({{"fmr", at.fmr},
                                  {"fnmr", at.fnmr},
                                  {"threshold", at.threshold},
                                  {"fmr_reached", at.fmr_reached},
                                  {"measurable", at.measurable}});
  }
  out["d_prime"] = v.d_prime;
  out["genuine_mean"] = v.genuine_mean;
  out["impostor_mean"] = v.impostor_mean;
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_text(const VerificationRun& run) {
  const aikd::Verification& v = run.result;
  std::string out = aikd::concat("pairs              ", v.genuine + v.impostor, " (", v.genuine, " genuine, ",
                                 v.impostor, " impostor)\n");
  if (run.missing_pairs > 0) {
    out += aikd::concat("left out           ", run.missing_pairs, " pairs, for want of ", run.missing.size(),
                        " images' embeddings\n");
  }
  out += aikd::concat(v.folds.size(), "-fold accuracy   ", v.folds.size() < 10 ? " " : "",
                      printed("%.3f", 100 * v.accuracy), " % +- ", printed("%.3f", 100 * v.standard_error),
                      " (standard error)\n");
  out += "area under ROC     " + printed("%.6f", v.auc) + "\n";
  out += "EER                " + printed("%.3f", 100 * v.eer) + " % at cosine " +
         printed("%.4f", v.eer_threshold) + "\n";
  for (const aikd::ErrorAtRate& at : v.at) {
    out += "FNMR at FMR " + printed("%.0e", at.fmr) + "  " + printed("%.3f", 100 * at.fnmr) +
           " % at cosine " + printed("%.4f", at.threshold);
    if (!at.measurable) {
      out += aikd::concat(" (FMR reached ", printed("%g", at.fmr_reached), "; ", v.impostor,
                          " impostor pairs are too few)");
    }
    out += "\n";
  }
  out += "d'                 " + printed("%.4f", v.d_prime) + "\n";
  return out;
}

int verification(const VerificationOptions& o) {
  VerificationRun run;
  try {
    run = run_verification(o);
  } catch (
      const aikd::Error& error) {  // these files are what the whole program works on, not one input of many
    const bool file = error.kind() == ErrorKind::kInput || error.kind() == ErrorKind::kModel;
    throw aikd::Error(file ? ErrorKind::kUsage : error.kind(), error.what());
  }
  aikd::apps::OutputFile out(o.output);
  out.write(o.json ? as_json(run) : as_text(run));
  out.close();
  if (run.missing_pairs == 0) return aikd::apps::kExitOk;
  std::fprintf(
      stderr, "aikd-eval: %zu of %zu pairs were left out: %zu images have no embedding, the first %s.\n",
      run.missing_pairs, run.pairs, run.missing.size(), aikd::io::in_quotes(run.missing[0], 1000).c_str());
  return aikd::apps::kExitSomeFailed;
}

int body(int argc, char** argv) {
  CLI::App app("Measures how well embeddings verify faces.");
  app.set_version_flag("--version", aikd::apps::version_line("aikd-eval"));
  app.require_subcommand(1);
  VerificationOptions v;
  CLI::App* verify = app.add_subcommand("verification",
                                        "10-fold accuracy (LFW's protocol), ROC area, EER, FNMR at FMR and "
                                        "d' of cosine similarities on a pair list. "
                                        "Exit code 1: some pairs had no embeddings and were left out");
  verify->add_option("--embeddings,-e", v.embeddings, "File written by aikd-score --embeddings")
      ->required()
      ->group("Input");
  verify->add_option("--pairs,-p", v.pairs, "LFW's pairs.txt, or lines `a b 1` (one person) and `a b 0`")
      ->required()
      ->group("Input");
  verify
      ->add_option("--root", v.root,
                   "Folder before the names of the pair list; without it, names are found by their end")
      ->group("Input");
  verify->add_option("--extension", v.extension, "Of the images, for LFW's list")
      ->capture_default_str()
      ->group("Input");
  verify->add_flag("--json", v.json, "JSON instead of text")->group("Output");
  verify->add_option("--output,-o", v.output, "File, or - for standard output")
      ->capture_default_str()
      ->group("Output");
  if (!aikd::apps::parse_command_line(app, argc, argv)) return aikd::apps::kExitOk;
  return verification(v);
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
