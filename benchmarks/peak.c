/* Prints how many multiplications with an addition one core does in a second, and how many bytes it moves. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define SUMS 12 /* enough to hide the latency of an addition, and few enough for 16 registers */
typedef float Lanes __attribute__((vector_size(4 * LANES)));

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

static double multiplications(double seconds) {
    Lanes sums[SUMS], factor = (Lanes){0} + 0.999f, more = (Lanes){0} + 0.001f;
    for (int i = 0; i < SUMS; i++) sums[i] = (Lanes){0} + 0.1f * i;
    double done = 0, started = now(), passed;
    do {
        for (int n = 0; n < 1000000; n++) {
#pragma GCC unroll 12
            for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factor + more;
        }
        done += 1e6 * SUMS * LANES;
        passed = now() - started;
    } while (passed < seconds);
    volatile float kept = 0;
    for (int i = 0; i < SUMS; i++) kept += sums[i][0];
    return done / passed;
}

static double bytes(double seconds) {
    const long count = 16 << 20; /* 64 MB an array, more than caches hold */
    float *a = malloc(4 * count), *b = malloc(4 * count), *c = malloc(4 * count);
    for (long i = 0; i < count; i++) a[i] = 0, b[i] = i, c[i] = 1;
    double done = 0, started = now(), passed;
    do {
        for (long i = 0; i < count; i++) a[i] = b[i] + 0.5f * c[i];
        volatile float kept = a[count / 2];
        (void)kept;
        done += 12.0 * count;
        passed = now() - started;
    } while (passed < seconds);
    return done / passed;
}

int main(int count, char **arguments) {
    double seconds = count > 1 ? atof(arguments[1]) : 1;
    printf("{\"multiplications\": %g, \"bytes\": %g, \"lanes\": %d}\n", multiplications(seconds), bytes(seconds), LANES);
    return 0;
}
