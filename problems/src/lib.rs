//! Bilevel benchmark problems with known answers and real data.
