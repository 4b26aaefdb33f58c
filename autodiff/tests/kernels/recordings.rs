//! Recordings: pulled back more than once, and their memory.

use hypertape_autodiff::{Arena, Array, Shape, Tally, Tape, Tensor};

#[test]
fn a_recording_is_pulled_more_than_once_into_an_arena_that_dies_first() {
    let (record, mut sweep) = (Arena::new(), Arena::new());
    let tape = Tape::new(&record).unwrap();
    let x = tape.variable(Tensor::new(&record, Shape::column(2), &[1.0, 2.0]));
    let y = x.square().exp();
    let (id, recording, used) = (y.id().unwrap(), tape.finish(), record.used());
    let mut results = Vec::new();
    for seed in [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]] {
        sweep.reset();
        let seed = Tensor::new(&sweep, Shape::column(2), &seed);
        let adjoints = recording.pull(&[(id, seed)], &sweep);
        results.push(adjoints.get(x.id().unwrap()).unwrap().values().to_vec());
    }
    let close = |a: &[f64], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 4e-16 * b);
    assert!(close(&results[0], [2.0 * 1.0_f64.exp(), 0.0])); // exp is right to 1 ulp
    assert!(close(&results[1], [0.0, 4.0 * 4.0_f64.exp()]));
    assert_eq!(results[0], results[2]);
    assert_eq!(record.used(), used, "a sweep puts nothing into the recording's arena");
}

#[test]
fn bytes_of_operations_add_up_to_those_of_the_arenas() {
    let (record, sweep) = (Arena::new(), Arena::new());
    record.tally(true);
    sweep.tally(true);
    let tape = Tape::new(&record).unwrap();
    let w = tape.variable(Tensor::new(&record, Shape::column(9), &[0.5; 9]));
    let y = (w.tanh() * w + w.tanh()).sum();
    let seed = y.value().within(&sweep).scalar(1.0);
    let adjoints = tape.finish().pull(&[(y.id().unwrap(), seed)], &sweep);
    assert!(adjoints.get(w.id().unwrap()).is_some());
    let (forward, back) = (record.take_tally(), sweep.take_tally());
    // 128 bytes per record and per result of 9 values, 64 per scalar, for each of the two shapes, and for the tape itself.
    let known = [
        ("variable", 1, 64 + 64 + 128),
        ("tanh", 2, 2 * (128 + 128)),
        ("multiply", 1, 128 + 128),
        ("add", 1, 128 + 128),
        ("sum", 1, 128 + 64 + 64),
        ("not recorded", 0, 0),
    ];
    let found: Vec<_> = forward.iter().map(|row| (row.name, row.records, row.bytes)).collect();
    assert_eq!(found, known);
    let sum = |rows: &[Tally]| rows.iter().map(|row| row.bytes).sum::<u64>();
    assert_eq!(sum(&forward), record.used() as u64);
    assert_eq!(sum(&back), sweep.used() as u64);
    let names: Vec<_> = back.iter().map(|row| (row.name, row.records)).collect();
    let order = ["adjoints", "sum", "add", "tanh", "multiply", "variable", "not recorded"];
    assert_eq!(names, order.map(|name| (name, 0)));
    record.tally(false);
    assert_eq!((w.exp().shape(), record.take_tally()), (Shape::column(9), Vec::new()));
}
