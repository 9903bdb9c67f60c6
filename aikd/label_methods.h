// The label generators that labels.cpp lists, one per file aikd/label_<name>.cpp.
#pragma once

#include "aikd/labels.h"

namespace aikd {

LabelMethod norm_label_method();
LabelMethod froq_label_method();

}  // namespace aikd
