//! The protocols by which tools ask: each takes a login and SQL, and hands over an engine's answer.
//!
//! INVARIANT: no rule of policy stands here. A session is made of the user as the file of users has it when the question is
//! asked, and of what the client declares; what it may see is the engine's to say.

pub mod pgwire;
