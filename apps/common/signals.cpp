#include "apps/common/signals.h"

#include <csignal>
#include <initializer_list>

namespace aikd::apps {
namespace {

volatile std::sig_atomic_t g_signal = 0;

void remember(int number) {
  g_signal = number;
}

}  // namespace

void watch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  // One shot (the second signal has its default effect); no SA_RESTART, so that a blocked read comes back.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    // A program started with the signal ignored (nohup) keeps ignoring it.
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(number, &action, nullptr);
  }
}

int stop_signal() noexcept {
  return static_cast<int>(g_signal);
}

}  // namespace aikd::apps
