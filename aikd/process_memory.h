// How much memory this process has needed.
#pragma once

namespace aikd {

// The most physical memory it has had so far, MiB (Linux: VmHWM; getrusage would also count that of the
// process that started it). NaN where it cannot be told.
double peak_memory_mib();

}  // namespace aikd
