//! Behaviour on real folders.

mod contract;
mod folders;
