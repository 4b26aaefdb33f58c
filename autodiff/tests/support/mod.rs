//! Modules that several test files and benches share.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each user takes a part of it")]

pub mod workloads;
