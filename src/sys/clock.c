/* Clocks of the kernel, or one that tests have stopped. */
#include "sys/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t fake_us;

static int64_t kernel_us(clockid_t id)
{
    int64_t fake = atomic_load_explicit(&fake_us, memory_order_relaxed);
    if (__builtin_expect(fake != 0, 0)) {
        return fake;
    }
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * BST_US_PER_S + ts.tv_nsec / 1000;
}

int64_t bst_wall_us(void)
{
    return kernel_us(CLOCK_REALTIME);
}

int64_t bst_mono_us(void)
{
    return kernel_us(CLOCK_MONOTONIC);
}

void bst_clock_fake_us(int64_t now_us)
{
    atomic_store(&fake_us, now_us);
}

void bst_clock_fake_advance_ms(int64_t ms)
{
    atomic_fetch_add(&fake_us, ms * 1000);
}
