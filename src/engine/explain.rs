//! A plan in an analyst's words: what each agency is asked, and what is done here.

use std::fmt::Write as _;

use datafusion::logical_expr::LogicalPlan;
use wayleave_connector_api::Audience;

use super::answer::{Notice, agreements_of};
use crate::federate::PlannedFragment;
use crate::policy::EnforcedPlan;

/// Writes the plan. The asker sees each agency's SQL with policy's own predicates named by their agreement; the operator
/// sees it as it runs.
pub(super) fn text(
    plan: &LogicalPlan,
    fragments: &[PlannedFragment],
    notices: &[Notice],
    enforced: &EnforcedPlan,
    audience: Audience,
) -> String {
    let mut text = String::new();
    for (number, fragment) in fragments.iter().enumerate() {
        // An estimate is made of all rows, the withheld ones too: it would tell the asker how many there are.
        let (sql, rows) = match audience {
            Audience::Source => (&fragment.sql, format!(", about {:.0} rows", fragment.estimated_rows)),
            Audience::Asker => (&fragment.asker_sql, String::new()),
        };
        let agencies = fragment.agencies();
        let word = if agencies.len() == 1 { "agency" } else { "agencies" };
        let _ = writeln!(text, "{}. {word} `{}`{rows}", number + 1, agencies.join("`, `"));
        let agreements = agreements_of(fragment);
        if agreements.is_empty() {
            let _ = writeln!(text, "   read as a consent register");
            // Where and how a register is kept is not the asker's to know.
            if audience == Audience::Asker {
                continue;
            }
        } else {
            let _ = writeln!(text, "   released under {}", agreements.join(", "));
        }
        if !fragment.keys_from.is_empty() {
            let from: Vec<&str> = fragment.keys_from.iter().map(String::as_str).collect();
            let _ = writeln!(text, "   receives the keys of {}", from.join(", "));
        }
        let _ = writeln!(text, "   {sql}");
    }
    if fragments.is_empty() {
        text.push_str("no agency is asked\n");
    }
    text.push_str("\ndone here\n");
    for line in plan.display_indent().to_string().lines() {
        let _ = writeln!(text, "   {line}");
    }
    let agreements = enforced.agreements();
    if !agreements.is_empty() {
        text.push_str("\nagreements\n");
        for (id, agreement) in agreements {
            let _ = writeln!(text, "   {id}: {} (owner {})", agreement.title, agreement.owner);
        }
    }
    if !notices.is_empty() {
        text.push_str("\nnotices\n");
        for notice in notices {
            let _ = writeln!(text, "   {notice}");
        }
    }
    text
}
