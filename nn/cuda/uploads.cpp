#include "nn/cuda/uploads.h"

namespace aikd::nn {

Uploads::~Uploads() {
  for (Turn& turn : turns_) {
    try {
      if (turn.in_use) turn.copied.synchronize();  // the device may still read it
    } catch (...) {                                // the device is lost: so is its work
    }
  }
}

Uploads::Turn& Uploads::next(std::size_t bytes) {
  Turn& turn = turns_[turn_];
  turn_ = 1 - turn_;
  if (turn.in_use) turn.copied.synchronize();
  turn.in_use = false;
  if (turn.memory.bytes() < bytes) {
    turn.memory = cuda::PinnedBuffer();  // first, so that old and new are never held together
    turn.memory = cuda::PinnedBuffer(bytes);
  }
  return turn;
}

}  // namespace aikd::nn
