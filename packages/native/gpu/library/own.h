#pragma once
#include "../dialect/runtime.h"
#include "availability.h"

/** What a library has of its own beside its plans: everything else here is the same for all. */
namespace polymla::own {

#if defined(POLYMLA_NAME)
constexpr const char *name = POLYMLA_NAME;
#else
constexpr const char *name = rt::words.name;
#endif
/** Of its devices: above every CPU's 10, and higher the fewer devices it is made for. */
extern const int32_t score;
/** Whether it has the sparse ops. */
#if defined(POLYMLA_WITHOUT_SPARSE)
constexpr bool sparse = false;
#else
constexpr bool sparse = true;
#endif

/** Names the architecture, and refuses a device that the kernels are not for. */
void judge(Described &device, const rt::DeviceProperties &properties);
/** Reads an option of `open` into what kernels are chosen by. Throws Failure for what it does not know. */
void readOption(DeviceTraits &traits, const char *key, const char *value);
/** Makes kernels ready for a device, which is current. Throws Failure. */
void prepare(const DeviceTraits &traits);

} // namespace polymla::own
