// What aikd-label does once its command line is understood.
#pragma once

#include "apps/aikd_label/options.h"
#include "apps/common/terminal.h"

namespace aikd::apps {

int label(const LabelOptions& options, Console& console);  // the exit code; throws Error

}  // namespace aikd::apps
