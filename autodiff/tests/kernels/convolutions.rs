//! Convolutions and their derivatives, which are convolutions in other roles.

#![expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "small sizes")]

use hypertape_autodiff::{Arena, Array, Convolution, Element, Role, Shape, Tensor};

/// Small integers, so that sums are exact in every order.
fn entries<T: Element>(shape: Shape, seed: usize) -> Vec<T> {
    (0..shape.len()).map(|i| T::from_f64(((i * 7 + seed * 3) % 11) as f64 - 5.0)).collect()
}

/// The array in `role`, from input, kernel and output.
fn part<T: Element>(map: Convolution, role: Role, of: [(Shape, &[T]); 3]) -> Vec<T> {
    fn convolve<'a, A: Array<'a>>([a, b]: [A; 2], map: Convolution, role: Role) -> Vec<A::Elem> {
        a.convolve_for(b, map, role).values().to_vec()
    }
    let arena = Arena::new();
    let operand = |role: Role| Tensor::new(&arena, of[role as usize].0, of[role as usize].1);
    let made = convolve([operand(role.next()), operand(role.next().next())], map, role);
    arena.status().unwrap();
    made
}

/// The output by the formula, with the image padded with zeros.
fn definition(map: Convolution, [input, kernel, _]: [Shape; 3], x: &[f64], k: &[f64]) -> Vec<f64> {
    let [h, w, size, stride] = [map.height, map.width, map.size, map.stride].map(|n| n as isize);
    let [rows, cols] = map.output().map(|n| n as isize);
    let [top, left] =
        [(rows, h), (cols, w)].map(|(n, side)| ((n - 1) * stride + size - side).max(0) / 2);
    let (images, c, filters) =
        (input.rows as isize / (h * w), input.cols as isize, kernel.cols as isize);
    let at = |n, y, x_, ch| {
        let inside = (0..h).contains(&y) && (0..w).contains(&x_);
        if inside { x[(((n * h + y) * w + x_) * c + ch) as usize] } else { 0.0 }
    };
    let mut out = Vec::new();
    for place in 0..images * rows * cols * filters {
        let (o, pixel) = (place % filters, place / filters);
        let (n, y, x_) = (pixel / (rows * cols), pixel / cols % rows, pixel % cols);
        let mut sum = 0.0;
        for term in 0..size * size * c {
            let (ch, i, j) = (term % c, term / c / size, term / c % size);
            sum += at(n, y * stride + i - top, x_ * stride + j - left, ch)
                * k[(term * filters + o) as usize];
        }
        out.push(sum);
    }
    out
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn every_part_equals_the_definition() {
    // Images, height, width, side of the kernel, channels, filters. The last two take several blocks.
    let sizes = [
        [1, 1, 1, 1, 1, 1],
        [2, 3, 4, 3, 1, 2],
        [3, 5, 2, 2, 3, 1],
        [1, 2, 3, 5, 2, 3],
        [2, 7, 7, 3, 4, 9],
        [3, 6, 5, 4, 1, 1],
        [1, 8, 9, 3, 64, 5],
        [2, 5, 5, 7, 40, 1],
    ];
    for [images, height, width, size, channels, filters] in sizes {
        for stride in 1..4 {
            let map = Convolution { height, width, size, stride };
            let pixels = map.output().iter().product::<u32>();
            let shapes = [
                Shape::new(images * height * width, channels),
                Shape::new(size * size * channels, filters),
                Shape::new(images * pixels, filters),
            ];
            let [x, k, z]: [Vec<f64>; 3] = std::array::from_fn(|i| entries(shapes[i], i));
            let of = [(shapes[0], &x[..]), (shapes[1], &k), (shapes[2], &z)];
            let y = part(map, Role::Output, of);
            assert_eq!(y, definition(map, shapes, &x, &k), "{map:?}");
            // The other roles, entry by entry, as derivatives of the linear form.
            let value = inner(&y, &z);
            let dx = part(map, Role::Input, of);
            let dk = part(map, Role::Kernel, of);
            assert_eq!((inner(&dx, &x), inner(&dk, &k)), (value, value), "{map:?}");
            for (i, moved) in [(0, &dx), (1, &dk)] {
                let step = moved.len().div_ceil(23);
                for at in (0..moved.len()).step_by(step) {
                    let mut unit = vec![0.0; moved.len()];
                    unit[at] = 1.0;
                    let operands = if i == 0 { [&unit[..], &k] } else { [&x[..], &unit] };
                    let y = definition(map, shapes, operands[0], operands[1]);
                    assert_eq!(inner(&y, &z), moved[at], "{map:?} {i} {at}");
                }
            }
            let single: [Vec<f32>; 3] = std::array::from_fn(|i| entries(shapes[i], i));
            let single = std::array::from_fn(|i| (shapes[i], &single[i][..]));
            let y32 = part(map, Role::Output, single);
            assert!(y32.iter().zip(&y).all(|(&a, &b)| f64::from(a) == b), "{map:?}");
        }
    }
}
