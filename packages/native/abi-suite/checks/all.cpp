#include "../check.h"

namespace polymla::suite {

std::vector<Check> allChecks() {
  return {
      {"table", "the table has this ABI's members, all of them code, and is the same for every host", checkTable},
      {"devices", "devices are described in words and numbers that make sense; others do not exist", checkDevices},
      {"errors", "a call that fails says so in its error, or in none; options that are unknown are refused", checkErrors},
      {"sizes", "structs of older hosts are neither read nor written past their end, newer ones are understood",
       checkSizes},
      {"enums", "a value that this header does not have is refused by every problem", checkEnums},
      {"fit", "any problem gets an answer, always the same, that plan_new agrees with", checkFit},
      {"transfers", "bytes arrive as they were sent, and host memory is the caller's when a call returns",
       checkTransfers},
      {"launches", "launches write all of their outputs and nothing else, the same bits every time", checkLaunches},
      {"guard-pages", "no tensor or struct is touched beyond its end, and no struct after the call that it was for",
       checkGuardPages},
      {"events", "events happen in order, notify once, and hold back other streams", checkEvents},
      {"two-streams", "work on two streams at once has the results of work on one", checkStreams},
      {"two-threads", "so has work of two threads, while others open devices and allocate", checkThreads},
      {"graphs", "a graph replays what was captured, with what is in memory then", checkGraphs},
      {"device-memory", "memory that is not there is PMLA_OUT_OF_MEMORY, and nothing is lost by it", checkDeviceMemory},
      {"host-memory", "every allocation of the library itself may fail, and nothing is lost by it", checkHostMemory},
      {"leaks", "what is given back is gone: memory, threads, files", checkLeaks},
      {"exit", "a process may exit while work is under way", checkExit, true},
  };
}

} // namespace polymla::suite
