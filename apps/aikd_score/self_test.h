// Known inputs, known results: that this build, on this machine, computes what it should.
#pragma once

#include <memory>
#include <ostream>

#include "aikd/model.h"
#include "tensor/context.h"

namespace aikd::apps {

// Prints one line "PASS ..." or "FAIL ..." per item; true when all passed. `model` may be null; else it must
// give finite scores that repeat bit for bit, also within a larger batch.
bool self_test(std::ostream& out, Context& context, std::shared_ptr<const Model> model);

}  // namespace aikd::apps
