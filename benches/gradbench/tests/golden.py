#!/usr/bin/env python3
"""Writes golden.jsonl: small inputs of the suite's evals, and outputs computed here from their definitions, in 60 digits.

    python3 golden.py > golden.jsonl

Derivatives are central differences with steps of 1e-18, a method independent of automatic differentiation. Where there is a closed form
(det by permutations, llsq, lse, kmeans), they are compared with it. Needs mpmath.
"""

import itertools
import json

from mpmath import mp, mpf

mp.dps = 60
STEP = mpf(10) ** -18


def numbers(seed, count, low=-1, high=1):
    """Numbers of three decimals, from a generator that is easy to reimplement."""
    out = []
    for _ in range(count):
        seed = (1103515245 * seed + 12345) % 2**31
        out.append(round(low + (high - low) * (seed >> 8) / 2**23, 3))
    return out


def rows(seed, count, width, low=-1, high=1):
    flat = numbers(seed, count * width, low, high)
    return [flat[i * width : (i + 1) * width] for i in range(count)]


def partial(f, x, i):
    """The derivatives of all results of f by argument i."""
    up, down = list(x), list(x)
    up[i], down[i] = x[i] + STEP, x[i] - STEP
    return [(a - b) / (2 * STEP) for a, b in zip(f(up), f(down))]


def gradient(f, x):
    return [partial(lambda x: [f(x)], x, i)[0] for i in range(len(x))]


def exact(x):
    """Converts to numbers of many digits."""
    return [exact(v) for v in x] if isinstance(x, list) else mpf(x)


def agree(a, b):
    assert all(abs(x - y) < mpf(10) ** -30 * (1 + abs(x)) for x, y in zip(a, b, strict=True))
    return a


def plain(x):
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return [plain(v) for v in x] if isinstance(x, list) else float(x) if isinstance(x, mpf) else x


def case(module, function, given, output):
    print(json.dumps({"module": module, "function": function, "input": given, "output": plain(output)}))


def hello():
    case("hello", "square", 1.5, exact(2.25))
    case("hello", "double", 1.5, exact(3.0))


def lse():
    given = {"x": numbers(1, 9, -100, 100)}
    value = lambda x: mp.log(sum(mp.exp(v) for v in x))
    x = exact(given["x"])
    case("lse", "primal", given, value(x))
    case("lse", "gradient", given, agree([mp.exp(v - value(x)) for v in x], gradient(value, x)))


def llsq():
    given = {"x": numbers(2, 5), "n": 7}
    t = [mpf(2 * i) / 6 - 1 for i in range(7)]

    def gaps(x):
        return [mp.sign(t) - sum(x * t**j for j, x in enumerate(x)) for t in t]

    value = lambda x: sum(gap**2 for gap in gaps(x)) / 2
    x = exact(given["x"])
    closed = [-sum(gap * t**j for gap, t in zip(gaps(x), t)) for j in range(5)]
    case("llsq", "primal", given, value(x))
    case("llsq", "gradient", given, agree(closed, gradient(value, x)))


def det():
    given = {"A": numbers(3, 25), "ell": 5}

    def value(a):
        total = mpf(0)
        for order in itertools.permutations(range(5)):
            swaps = sum(order[i] > order[j] for i in range(5) for j in range(i, 5))
            total += (-1) ** swaps * mp.fprod(a[5 * i + j] for i, j in enumerate(order))
        return total

    a = exact(given["A"])
    case("det", "primal", given, value(a))
    case("det", "gradient", given, gradient(value, a))


def kmeans():
    points = rows(4, 12, 3, 0, 1)
    given = {"points": points, "centroids": points[-4:]}
    p, c = exact(points), exact(points[-4:])
    square = lambda a, b: sum((a - b) ** 2 for a, b in zip(a, b))
    closest = [min(range(4), key=lambda j: square(p, c[j])) for p in p]
    case("kmeans", "cost", given, sum(square(p, c[j]) for p, j in zip(p, closest)))
    of = [[p for p, k in zip(p, closest) if k == j] for j in range(4)]
    case("kmeans", "dir", given, [[c[j][i] - sum(p[i] for p in of[j]) / len(of[j]) for i in range(3)] for j in range(4)])


def gmm():
    d, k, n = 3, 2, 5
    below = d * (d - 1) // 2
    given = {
        "d": d, "k": k, "n": n, "m": 2, "gamma": 0.75, "x": rows(5, n, d, -2, 2), "alpha": numbers(6, k),
        "mu": rows(7, k, d), "q": rows(8, k, d, -0.5, 0.5), "l": rows(9, k, below),
    }  # fmt: skip
    points = exact(given["x"])

    def posterior(flat):
        """From textbook densities: normal around mu with precision Q^T Q, which has a Wishart distribution."""
        alpha, rest = flat[:k], flat[k:]
        cut = lambda width, first: [rest[first + i * width :][:width] for i in range(k)]
        mu, q, l = cut(d, 0), cut(d, k * d), cut(below, 2 * k * d)
        weights = [mp.exp(a) for a in alpha]
        precisions = []
        for diagonal, strict in zip(q, l):
            factor, entries = mp.zeros(d), iter(strict)
            for j in range(d):
                factor[j, j] = mp.exp(diagonal[j])
                for i in range(j + 1, d):
                    factor[i, j] = next(entries)
            precisions.append(factor.T * factor)

        def normal(x, mean, precision):
            gap = mp.matrix([a - b for a, b in zip(x, mean)])
            return mp.exp(-(gap.T * precision * gap)[0] / 2) * mp.sqrt(mp.det(precision) / (2 * mp.pi) ** d)

        freedom, gamma = d + given["m"] + 1, exact(given["gamma"])
        of_half = mp.pi ** (mpf(d * (d - 1)) / 4) * mp.fprod(mp.gamma(mpf(freedom - j) / 2) for j in range(d))

        def wishart(precision):
            trace = sum(precision[i, i] for i in range(d)) * gamma**2
            scale = mpf(2) ** (mpf(freedom * d) / 2) * gamma ** (-freedom * d) * of_half
            return mp.det(precision) ** (mpf(given["m"]) / 2) * mp.exp(-trace / 2) / scale

        all_of = [zip(weights, mu, precisions) for _ in points]
        likelihood = [sum(w * normal(x, m, p) for w, m, p in each) / sum(weights) for x, each in zip(points, all_of)]
        return mp.log(mp.fprod(likelihood)) + mp.log(mp.fprod(wishart(p) for p in precisions))

    flat = exact(given["alpha"] + sum(given["mu"] + given["q"] + given["l"], []))
    case("gmm", "objective", given, posterior(flat))
    g = gradient(posterior, flat)
    cut = lambda width, first: [g[first + i * width :][:width] for i in range(k)]
    case("gmm", "jacobian", given, {"alpha": g[:k], "mu": cut(d, k), "q": cut(d, k + k * d), "l": cut(below, k + 2 * k * d)})


def turn(r):
    """The rotation around r by its length, as a matrix exponential."""
    cross = mp.matrix([[0, -r[2], r[1]], [r[2], 0, -r[0]], [-r[1], r[0], 0]])
    return mp.expm(cross, method="taylor")


def ba():
    n, m, p = 3, 2, 4
    given = {
        "n": n, "m": m, "p": p, "cam": [0.3, -0.2, 0.4, 0.1, 0.2, -0.3, 5.5, 0.2, -0.1, 0.05, 0.01],
        "x": [0.3, -0.4, 2.5], "w": 0.75, "feat": [0.9, -1.1],
    }  # fmt: skip
    feature = exact(given["feat"])

    def misses(v):
        z = turn(v[0:3]) * mp.matrix([v[11 + i] - v[3 + i] for i in range(3)])
        s = [z[0] / z[2], z[1] / z[2]]
        square = s[0] ** 2 + s[1] ** 2
        scale = 1 + v[9] * square + v[10] * square**2
        return [v[14] * (v[6] * scale * s[i] + v[7 + i] - feature[i]) for i in range(2)]

    v = exact(given["cam"] + given["x"] + [given["w"]])
    weight = lambda w: 1 - w**2
    reprojection = {"elements": misses(v), "repeated": p}
    case("ba", "objective", given, {"reproj_error": reprojection, "w_err": {"element": weight(v[14]), "repeated": p}})
    columns = [partial(misses, v, i) for i in range(15)]
    starts = [15 * i for i in range(2 * p)] + [30 * p + i for i in range(p + 1)]
    where = list(range(11)) + [11 * n + i for i in range(3)] + [11 * n + 3 * m]
    jacobian = {
        "rows": starts[:30] + starts[-1:], "cols": where + where + [11 * n + 3 * m + p - 1],
        "vals": [column[i] for i in range(2) for column in columns] + [-2 * v[14]],
    }  # fmt: skip
    case("ba", "jacobian", given, jacobian)
    case("ba", "planned", given, jacobian)
    flat = dict(given, cam=[0.0, 0.0, 0.0] + given["cam"][3:])
    v = exact(flat["cam"] + flat["x"] + [flat["w"]])
    columns = [partial(misses, v, i) for i in range(15)]
    case("ba", "jacobian", flat, dict(jacobian, vals=[column[i] for i in range(2) for column in columns] + [-2 * v[14]]))


def ht():
    bones, vertices, count = 8, 5, 3
    affine = lambda seed: [row + [v] for row, v in zip(rows(seed, 3, 3), numbers(seed + 1, 3))] + [[0.0, 0.0, 0.0, 1.0]]
    model = {
        "bone_count": bones, "bone_names": [f"bone {i}" for i in range(bones)], "parents": [-1, 0, 1, 2, 3, 0, 5, 6],
        "base_relatives": [affine(20 + i) for i in range(bones)],
        "inverse_base_absolutes": [affine(40 + i) for i in range(bones)],
        "base_positions": [row + [1.0] for row in rows(60, vertices, 3)], "weights": rows(61, vertices, bones, 0, 1),
        "triangles": [[0, 1, 2], [2, 3, 4]], "is_mirrored": False,
    }  # fmt: skip
    model["weights"][1] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    theta = numbers(62, 26)
    points = rows(63, count, 3)

    def pose(theta, mirrored):
        absolutes = []
        for bone in range(bones):
            tx = tz = mpf(0)
            finger, joint = divmod(bone - 2, 4)
            if bone >= 2 and joint < 3:
                own = theta[6 + 4 * finger :][:4]
                tx, tz = (own[0], own[1]) if joint == 0 else (own[joint + 1], mpf(0))
            turned = mp.eye(4)
            turned[0:3, 0:3] = turn([0, 0, tz]) * turn([tx, 0, 0])
            relative = mp.matrix(exact(model["base_relatives"][bone])) * turned
            parent = model["parents"][bone]
            absolutes.append(relative if parent < 0 else absolutes[parent] * relative)
        moved = [a * mp.matrix(exact(back)) for a, back in zip(absolutes, model["inverse_base_absolutes"])]
        out = []
        for vertex in range(vertices):
            at = mp.matrix([0, 0, 0, 0])
            for matrix, weight in zip(moved, exact(model["weights"][vertex])):
                at += weight * (matrix * mp.matrix(exact(model["base_positions"][vertex])))
            if mirrored:
                at[0] = -at[0]
            out.append(list(turn(theta[:3]) * at[0:3]))
            out[-1] = [v + t for v, t in zip(out[-1], theta[3:6])]
        return out

    for us, to, mirrored in [([], [1, 4, 1], False), (rows(64, count, 2, 0, 0.5), [0, 1, 1], True)]:
        data = {"model": dict(model, is_mirrored=mirrored), "correspondences": to, "points": points}
        given = {"theta": theta, "data": data, "us": us}

        def misses(flat):
            at, out = pose(flat[:26], mirrored), []
            for i in range(count):
                place = at[to[i]]
                if us:
                    u, v = flat[26 + 2 * i], flat[27 + 2 * i]
                    a, b, c = (at[vertex] for vertex in model["triangles"][to[i]])
                    place = [u * a + v * b + (1 - u - v) * c for a, b, c in zip(a, b, c)]
                out += [p - v for p, v in zip(exact(points[i]), place)]
            return out

        flat = exact(theta + sum(us, []))
        columns = [partial(misses, flat, i) for i in range(len(flat))]
        own = lambda row: [columns[26 + 2 * (row // 3) + i][row] for i in range(2)] if us else []
        case("ht", "objective", given, misses(flat))
        case("ht", "jacobian", given, [own(row) + [column[row] for column in columns[:26]] for row in range(3 * count)])


def lstm():
    layers, b, length = 2, 3, 4
    given = {
        "main_params": rows(70, 2 * layers, 4 * b), "extra_params": rows(71, 3, b), "state": rows(72, 2 * layers, b),
        "sequence": [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }  # fmt: skip
    sigmoid = lambda x: 1 / (1 + mp.exp(-x))

    def loss(flat):
        main = [flat[i * 4 * b :][: 4 * b] for i in range(2 * layers)]
        extra = [flat[(8 * layers + i) * b :][:b] for i in range(3)]
        state, total = exact(given["state"]), mpf(0)
        for x, gold in zip(given["sequence"], given["sequence"][1:]):
            z = [x * w for x, w in zip(x, extra[0])]
            for layer in range(layers):
                weight, bias = main[2 * layer], main[2 * layer + 1]
                hidden, memory = state[2 * layer], state[2 * layer + 1]
                gate = lambda k, i, z: weight[k * b + i] * z + bias[k * b + i]
                for i in range(b):
                    forget, out = sigmoid(gate(0, i, z[i])), sigmoid(gate(2, i, z[i]))
                    into, change = sigmoid(gate(1, i, hidden[i])), mp.tanh(gate(3, i, hidden[i]))
                    memory[i] = memory[i] * forget + into * change
                    hidden[i] = out * mp.tanh(memory[i])
                z = hidden
            y = [z * w + c for z, w, c in zip(z, extra[1], extra[2])]
            normaliser = mp.log(2 + sum(mp.exp(v) for v in y))
            total += sum(g * (v - normaliser) for g, v in zip(gold, y))
        return -total / ((length - 1) * b)

    flat = exact(sum(given["main_params"] + given["extra_params"], []))
    case("lstm", "objective", given, loss(flat))
    case("lstm", "jacobian", given, gradient(loss, flat))


def ode():
    given = {"x": numbers(80, 4, 0, 1), "s": 3}

    def solve(x):
        slope = lambda y: [x[i] * (y[i - 1] if i else 1) for i in range(len(x))]
        h, y = mpf(2) / given["s"], [mpf(0)] * len(x)
        moved = lambda k, by: [y + by * k for y, k in zip(y, k)]
        for _ in range(given["s"]):
            k = [slope(y)]
            k.append(slope(moved(k[0], h / 2)))
            k.append(slope(moved(k[1], h / 2)))
            k.append(slope(moved(k[2], h)))
            y = [y + h / 6 * (a + 2 * b + 2 * c + d) for y, a, b, c, d in zip(y, *k)]
        return y

    x = exact(given["x"])
    case("ode", "primal", given, solve(x))
    case("ode", "gradient", given, gradient(lambda x: solve(x)[-1], x))


def nested():
    """The results that the suite itself expects, the same for every combination of modes."""
    for modes in ["ff", "fr", "rf", "rr"]:
        case("particle", modes, {"w": 0.0}, exact(0.2071918746486116))
        case("saddle", modes, {"start": [1.0, 1.0]}, [exact(8.246324826140356e-06)] * 4)


for family in [hello, lse, llsq, det, kmeans, gmm, ba, ht, lstm, ode, nested]:
    family()
