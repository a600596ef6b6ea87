//! What is told of edits to the policy files while a command runs on.

use tokio::sync::watch;

use crate::policy::PolicyState;

/// Tells of each edit as it is put in force or refused, for as long as the engine lives.
pub async fn tell_of_edits(mut state: watch::Receiver<PolicyState>, mut tell: impl FnMut(String)) {
    let mut before = state.borrow_and_update().clone();
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        tell(edit_told(&before, &now));
        before = now;
    }
}

fn edit_told(before: &PolicyState, now: &PolicyState) -> String {
    match &now.refused {
        Some(diagnostics) => format!(
            "error: an edit of the policy files is refused; what was in force before stays in force\n{diagnostics}\n"
        ),
        None if before.hash != now.hash => {
            "the policy files have changed; queries run under them from now on\n".to_owned()
        }
        None => "the policy files say again what is in force\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Diagnostic;

    #[test]
    fn an_edit_of_policies_is_told_of_with_its_place() {
        let before = PolicyState { hash: "a".to_owned(), edits: 0, refused: None };
        let broken = Diagnostic::of_file(Path::new("registers.toml"), "it cannot be read");
        let refused = PolicyState { refused: Some(Arc::new(broken.into())), ..before.clone() };
        let told = edit_told(&before, &refused);
        assert!(told.contains("refused") && told.contains("registers.toml: it cannot be read"), "{told}");
        let taken = PolicyState { hash: "b".to_owned(), edits: 1, refused: None };
        assert!(edit_told(&refused, &taken).contains("have changed"));
        assert!(edit_told(&refused, &before).contains("again"));
    }
}
