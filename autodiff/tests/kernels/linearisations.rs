//! Linearisations: recordings that are kept, moved and pulled later.

use std::sync::Arc;

use hypertape_autodiff::{Arena, Array, Fault, Linearisation, Piece, Shape, Tape, Tensor, axpy};

fn powers(kept: &mut Linearisation<f64>, data: &Arc<Vec<f64>>, n: i32) {
    let made = kept.record(data, |data, arena| {
        let tape = Tape::new(arena)?;
        let x = tape.variable(Tensor::new(arena, Shape::column(3), data));
        Piece::new(tape, [x].into_iter(), [x.powi(n).sum()].into_iter())
    });
    made.unwrap();
}

#[test]
fn it_outlives_what_it_was_made_from_and_moves_to_other_threads() {
    let mut kept = Linearisation::new();
    powers(&mut kept, &Arc::new(vec![1.0, 2.0, 3.0]), 2);
    let pull = move || {
        let mut x_bar = [0.5; 3];
        for _ in 0..2 {
            kept.pull(&[10.0], &mut Arena::new(), |_, part| axpy(&mut x_bar, 1.0, part)).unwrap();
        }
        x_bar
    };
    assert_eq!(std::thread::spawn(pull).join().unwrap(), [40.5, 80.5, 120.5]);
}

#[test]
fn pieces_add_up_until_the_data_changes() {
    let (mut kept, mut x_bar) = (Linearisation::new(), [0.0; 3]);
    let data = Arc::new(vec![1.0, 2.0, 3.0]);
    powers(&mut kept, &data, 2);
    let used = kept.used();
    powers(&mut kept, &data, 3);
    assert!(kept.used() > used);
    kept.pull(&[1.0], &mut Arena::new(), |_, part| axpy(&mut x_bar, 1.0, part)).unwrap();
    assert_eq!(x_bar, [5.0, 16.0, 33.0]);
    powers(&mut kept, &Arc::new(vec![1.0; 3]), 2);
    assert_eq!(kept.used(), used);
    kept.clear();
    assert_eq!(kept.used(), 0);
}

#[test]
fn lengths_are_checked() {
    let mut kept = Linearisation::new();
    powers(&mut kept, &Arc::new(vec![1.0; 3]), 2);
    let fault = kept.pull(&[1.0, 2.0], &mut Arena::new(), |_, _| {}).unwrap_err();
    let what = "the adjoints of a linearisation";
    assert_eq!(fault, Fault::Length { what, expected: 1, found: 2 });
}
