// What kernels see: threads, shuffles, votes, barriers, shared memory, atomics, arithmetic, clusters.
#include "selftest.h"

#include <cmath>
#include <random>

namespace {

void adds_vectors_of_any_shape() {
    std::mt19937 random(7);
    const auto function = kernel("vector_add");
    const auto up_to = [&random](unsigned n) { return 1 + static_cast<unsigned>(random() % n); };
    for (int round = 0; round < 1000; round++) {
        const Shape block{up_to(round % 3 ? 40 : 1024), up_to(round % 3 ? 6 : 1), up_to(round % 3 ? 4 : 1)};
        const Shape grid{up_to(9), up_to(4), up_to(3)};
        const auto threads = block.x * block.y * block.z * grid.x * grid.y * grid.z;
        const long long n = up_to(threads + 8);
        std::vector<float> a(static_cast<std::size_t>(n)), b(a.size());
        for (std::size_t i = 0; i < a.size(); i++) {
            a[i] = static_cast<float>(random() % 1000);
            b[i] = static_cast<float>(i);
        }
        Buffer<float> da(a), db(b), dc(a.size(), -1.0f);
        GOOD(launch(function, grid, block, 0, nullptr, da.address(), db.address(), dc.address(), n));
        const auto c = dc.read();
        for (std::size_t i = 0; i < c.size(); i++)
            check(c[i] == (i < threads ? a[i] + b[i] : -1.0f),
                  "round " + std::to_string(round) + ", element " + std::to_string(i));
    }
}

void shuffles_move_values() {
    Buffer<int> out(64 * 8);
    GOOD(launch(kernel("shuffles"), {}, {64}, 0, nullptr, out.address()));
    const auto values = out.read();
    for (int t = 0; t < 64; t++) {
        const int lane = t % 32;
        const int wanted[] = {50,
                              lane < 3 ? lane : lane - 3,
                              lane > 28 ? lane : lane + 3,
                              lane ^ 9,
                              lane / 8 * 8 + 2,
                              lane % 4 == 0 ? lane : lane - 1,
                              (lane ^ 16) * 3,
                              lane < 16 ? 3 : 19};
        for (int k = 0; k < 8; k++)
            check(values[static_cast<std::size_t>(t * 8 + k)] == wanted[k],
                  "shuffle " + std::to_string(k) + " of thread " + std::to_string(t));
    }
}

void votes_count_lanes() {
    Buffer<unsigned> out(32 * 8);
    GOOD(launch(kernel("votes"), {}, {32}, 0, nullptr, out.address()));
    const auto values = out.read();
    for (unsigned lane = 0; lane < 32; lane++) {
        const unsigned wanted[] = {0x49249249u, 1,     0, 0xFFu << lane / 8 * 8, 496, static_cast<unsigned>(-26),
                                   31,          0xFFFF};
        for (unsigned k = 0; k < 8; k++)
            check(values[lane * 8 + k] == wanted[k], "vote " + std::to_string(k) + " of lane " + std::to_string(lane));
    }
}

void barriers_vote() {
    for (const unsigned threads : {1u, 33u, 256u}) {
        Buffer<int> out(threads * 3);
        GOOD(launch(kernel("barrier_votes"), {}, {threads}, 0, nullptr, out.address()));
        const auto values = out.read();
        for (unsigned t = 0; t < threads; t++) {
            CHECK(values[t * 3] == static_cast<int>(threads / 2));
            CHECK(values[t * 3 + 1] == 1);
            CHECK(values[t * 3 + 2] == (threads > 3 ? 1 : 0));
        }
    }
}

void shared_memory_sums() {
    for (const unsigned threads : {1u, 32u, 256u, 1024u}) {
        std::vector<double> in(threads * 7);
        for (std::size_t i = 0; i < in.size(); i++)
            in[i] = static_cast<double>(i);
        Buffer<double> from(in), to(14);
        GOOD(launch(kernel("block_sum"), {7}, {threads}, threads * 8, nullptr, from.address(), to.address()));
        const auto sums = to.read();
        for (unsigned b = 0; b < 7; b++) {
            const double wanted = threads * (b * threads + (threads - 1) / 2.0);
            CHECK(sums[b * 2] == wanted && sums[b * 2 + 1] == wanted);
        }
    }
}

void static_shared_memory_is_counted_per_kernel() {
    int bytes = -1;
    GOOD(cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel("block_sum")));
    CHECK(bytes == 8192);
    GOOD(cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel("small_shared")));
    CHECK(bytes == 64);
    GOOD(cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel("vector_add")));
    CHECK(bytes == 0);
    Buffer<int> out(32);
    GOOD(launch(kernel("small_shared"), {}, {32}, 0, nullptr, out.address()));
    CHECK(out.read()[5] == 1);
}

void atomics_lose_nothing() {
    const int n = 64 * 200;
    Buffer<int> ints(7);
    Buffer<unsigned long long> longs(1);
    Buffer<float> floats(1);
    Buffer<double> doubles(1);
    GOOD(launch(kernel("atomics"), {64}, {200}, 0, nullptr, ints.address(), longs.address(), floats.address(),
                doubles.address()));
    const auto values = ints.read();
    CHECK(values[0] == n && values[1] == n - 1 && values[2] == 1 - n && values[3] == 0x7FFFFFFF);
    CHECK(values[4] == 0 && values[5] == 0 && values[6] == 2 * n);
    CHECK(longs.read()[0] == static_cast<unsigned long long>(n) << 33);
    CHECK(floats.read()[0] == n * 0.5f && doubles.read()[0] == n * 0.25);
}

void module_variables_last() {
    Buffer<float> out(5);
    GOOD(launch(kernel("globals"), {}, {32}, 0, nullptr, out.address()));
    GOOD(launch(kernel("globals"), {}, {32}, 0, nullptr, out.address()));
    const auto values = out.read();
    CHECK(values[0] == 1 && values[3] == 8 && values[4] == 41);
}

void parameters_keep_their_layout() {
    struct Pair {
        float a;
        double b;
    };
    struct alignas(16) Four {
        float v[4];
    };
    Buffer<float> p(std::vector<float>{1, 2});
    Buffer<double> out(6);
    GOOD(launch(kernel("parameters"), {}, {}, 0, nullptr, static_cast<char>(3), Pair{1.5f, 2.5}, static_cast<short>(-4),
                p.address(), Four{{1, 2, 3, 4}}, out.address()));
    CHECK((out.read() == std::vector<double>{3, 1.5, 2.5, -4, 2, 4}));
}

void named_barriers_hand_over() {
    Buffer<int> out(320);
    GOOD(launch(kernel("producer_consumer"), {}, {64}, 0, nullptr, out.address()));
    const auto values = out.read();
    for (int i = 0; i < 320; i++)
        CHECK(values[static_cast<std::size_t>(i)] == i / 32 * 100 + 31 - i % 32);
}

void spinning_threads_let_others_run() {
    Buffer<int> out(300);
    GOOD(launch(kernel("wait_for_flag"), {}, {300}, 0, nullptr, out.address()));
    CHECK(out.read() == std::vector<int>(300, 7));
}

void exchanges_reach_all() {
    Buffer<int> out(256 * 2);
    GOOD(launch(kernel("exchanges"), {}, {256}, 0, nullptr, out.address()));
    const auto values = out.read();
    for (int t = 0; t < 256; t++) {
        CHECK(values[static_cast<std::size_t>(t) * 2] == (t / 32 * 32 + 31) * 2);
        CHECK(values[static_cast<std::size_t>(t) * 2 + 1] == 254);
    }
}

void clusters_share_memory() {
    Buffer<int> out(12);
    void* arguments[] = {&out.address()};
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.cluster_dim = {4, 1, 1};
    const CUlaunchConfig config{12, 1, 1, 64, 1, 1, 0, nullptr, &attribute, 1};
    GOOD(cuLaunchKernelEx(&config, kernel("cluster_ring"), arguments, nullptr));
    const auto values = out.read();
    for (int b = 0; b < 12; b++)
        CHECK(values[static_cast<std::size_t>(b)] == b / 4 * 4 + (b + 3) % 4);
}

void own_copies_end_at_waits() {
    std::vector<int> numbers(128);
    for (int i = 0; i < 128; i++)
        numbers[static_cast<std::size_t>(i)] = 100 + i;
    Buffer<int> from(numbers), out(32 * 6);
    GOOD(launch(kernel("own_copies"), {}, {32}, 0, nullptr, from.address(), out.address()));
    const auto values = out.read();
    for (int t = 0; t < 32; t++) {
        const int wanted[] = {-1, 100 + 4 * t, 101 + 4 * t, 0, -1, 100 + t};
        for (int k = 0; k < 6; k++)
            check(values[static_cast<std::size_t>(t * 6 + k)] == wanted[k],
                  "copy " + std::to_string(k) + " of thread " + std::to_string(t));
    }
}

void threads_may_leave() {
    Buffer<int> out(40);
    GOOD(launch(kernel("leave_early"), {}, {256}, 0, nullptr, out.address()));
    const auto values = out.read();
    CHECK(values[0] == 32 && values[31] == 32 && values[32] == 8 && values[39] == 8);
}

void arithmetic_is_cudas() {
    Buffer<float> out(6);
    GOOD(launch(kernel("arithmetic"), {}, {}, 0, nullptr, out.address()));
    const auto v = out.read();
    volatile float product = (1.0f + 1e-7f) * (1.0f - 1e-7f);
    CHECK(v[0] == product - 1.0f);
    CHECK(v[1] == 0.5f + 8 + 2 + 3);
    CHECK(v[2] == 8 + 4 + 31 + 1);
    CHECK(v[3] == 2 - 2 + 1);
    CHECK(v[4] == 3.14159274f && v[5] == 1);
}

void rounded_products_are_not_fused() {
    const float x = 1.0f + 0x1p-12f;
    Buffer<float> in(std::vector<float>{x, x, -1.0f}), out(2);
    GOOD(launch(kernel("rounded"), {}, {}, 0, nullptr, in.address(), out.address()));
    const auto v = out.read();
    CHECK(v[0] == 0x1p-11f);
#if defined(__x86_64__)
    CHECK(v[1] == (__builtin_cpu_supports("fma") ? 0x1p-11f + 0x1p-24f : 0x1p-11f));
#endif
}

} // namespace

std::vector<Test> device_tests() {
    return {{"adds vectors of 1000 random shapes", adds_vectors_of_any_shape},
            {"shuffles move values", shuffles_move_values},
            {"votes count lanes", votes_count_lanes},
            {"barriers vote", barriers_vote},
            {"static and dynamic shared memory", shared_memory_sums},
            {"static shared memory is counted per kernel", static_shared_memory_is_counted_per_kernel},
            {"atomics lose nothing", atomics_lose_nothing},
            {"module variables last", module_variables_last},
            {"parameters keep their layout", parameters_keep_their_layout},
            {"named barriers hand over", named_barriers_hand_over},
            {"spinning threads let others run", spinning_threads_let_others_run},
            {"warps and warpgroups exchange", exchanges_reach_all},
            {"clusters share memory", clusters_share_memory},
            {"a thread's copies end at its waits", own_copies_end_at_waits},
            {"threads may leave early", threads_may_leave},
            {"arithmetic is CUDA's", arithmetic_is_cudas},
            {"rounded products are not fused", rounded_products_are_not_fused}};
}
