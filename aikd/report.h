// One offline HTML page about a run: histogram, percentiles, worst-to-best contact sheet, failures.
// Everything is inside the page (style, drawing, pictures as data URIs); no script, nothing is fetched.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aikd/score_map.h"
#include "aikd/score_row.h"

namespace aikd {

struct ReportImage {
  std::string path;
  float score = 0;
  double mapped = 0;               // NaN: no mapping
  std::int64_t rank = 0;           // 1 = the worst of all scored images
  std::vector<std::uint8_t> jpeg;  // the crop as the network saw it; empty: no picture
};

struct ReportData {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // "Model", "Device", ...: name and value
  std::vector<float> scores;                               // of all scored images, ascending
  ScoreMap map;
  std::vector<ReportImage> sheet;  // worst first
  std::vector<ScoreRow> failures;  // as many as are to be shown
  std::int64_t failed = 0;         // how many there were
};

// Which ranks (0-based, ascending) of `count` scored images a sheet of at most `limit` pictures shows: all,
// or evenly spread ones with the worst and the best.
std::vector<std::int64_t> sheet_ranks(std::int64_t count, std::int64_t limit);

// Text of any bytes as HTML text or attribute value: & < > " ' escaped, control characters and bytes that are
// not UTF-8 shown as U+FFFD.
std::string escape_html(std::string_view text);
std::string base64(const std::vector<std::uint8_t>& bytes);

std::string render_report(const ReportData& data);

}  // namespace aikd
