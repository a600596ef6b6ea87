//! An explanation as text for people: the tree of what is done, then each fragment, then what stands behind them.

use std::fmt::Write as _;

use super::{Explanation, FragmentPlan, Numbers, Role, Step};

/// Writes the explanation. What there is nothing to say of is left out.
pub(super) fn write(explanation: &Explanation) -> String {
    let mut text = String::new();
    step(&explanation.plan, "", "", &mut text);
    text.push('\n');
    if explanation.fragments.is_empty() {
        text.push_str("no agency is asked\n");
    }
    for plan in &explanation.fragments {
        fragment(plan, &mut text);
    }
    section(
        &mut text,
        "stays here, and why",
        explanation.kept.iter().map(|kept| {
            let at = kept.agency.as_ref().map_or(String::new(), |agency| format!(" (rows of {agency})"));
            format!("{}{at}: {}", kept.what, kept.why)
        }),
    );
    section(
        &mut text,
        "agreements",
        explanation
            .agreements
            .iter()
            .map(|agreement| format!("{}: {} (owner {})", agreement.id, agreement.title, agreement.owner)),
    );
    section(&mut text, "notices", explanation.notices.iter().cloned());
    if let Some(measured) = &explanation.measured {
        let times = match (measured.total_ms, measured.planning_ms) {
            (Some(total), Some(planning)) => format!(" in {total:.2} ms, planned in {planning:.2} ms"),
            _ => String::new(),
        };
        section(&mut text, "measured", [format!("{}{times}", counted(measured.rows, "row"))]);
    }
    text
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "\n{title}");
    }
    for line in lines {
        let _ = writeln!(text, "   {line}");
    }
}

/// One step and those below it: `first` leads its own line, `rest` the lines below.
fn step(plan: &Step, first: &str, rest: &str, text: &mut String) {
    let number = plan.fragment.map_or(String::new(), |number| format!("{number}. "));
    let numbers = match &plan.measured {
        Some(Numbers::Told(measured)) => {
            let time = measured.compute_ms.map_or(String::new(), |time| format!(", {time:.2} ms"));
            format!(" ({}{time})", counted(measured.rows, "row"))
        }
        Some(Numbers::Withheld) => " (withheld)".to_owned(),
        None => String::new(),
    };
    let _ = writeln!(text, "{first}{number}{}{numbers}", plan.words);
    let last = plan.inputs.len().saturating_sub(1);
    for (position, input) in plan.inputs.iter().enumerate() {
        let (branch, below) = if position == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        step(input, &format!("{rest}{branch}"), &format!("{rest}{below}"), text);
    }
}

fn fragment(plan: &FragmentPlan, text: &mut String) {
    let estimate = plan.estimated_rows.map_or(String::new(), |rows| format!(", about {rows} rows"));
    let shared: Vec<String> = plan.shared_with.iter().map(|agency| format!(" and `{agency}`")).collect();
    let _ = writeln!(text, "{}. agency `{}`{}{estimate}", plan.number, plan.agency, shared.join(""));
    match plan.role {
        Role::Register => text.push_str("   read as a consent register\n"),
        Role::Released => {
            let _ = writeln!(text, "   released under {}", plan.agreements.join(", "));
        }
    }
    for consent in &plan.consent {
        let _ = if consent.registers.is_empty() {
            writeln!(text, "   consent is not required under {}", consent.agreement)
        } else {
            let registers: Vec<String> = consent.registers.iter().map(|register| format!("`{register}`")).collect();
            let registers = format!("register{} {}", if registers.len() > 1 { "s" } else { "" }, registers.join(", "));
            writeln!(text, "   consent checked under {} ({registers}): {}", consent.agreement, consent.rule)
        };
    }
    for (pseudonymised, keys) in [(false, "keys"), (true, "pseudonymised keys")] {
        let sent = || plan.keys_from.iter().filter(|from| from.pseudonymised == pseudonymised);
        let from: Vec<&str> = sent().map(|from| from.agency.as_str()).collect();
        let mut under: Vec<&str> = sent().flat_map(|from| from.under.iter().map(String::as_str)).collect();
        under.dedup();
        if !from.is_empty() {
            let _ =
                writeln!(text, "   receives the {keys} of {}, disclosed under {}", from.join(", "), under.join(", "));
        }
    }
    if let Some(sql) = &plan.sql {
        let _ = writeln!(text, "   {sql}");
    }
    match &plan.measured {
        None => {}
        Some(Numbers::Withheld) => text.push_str("   withheld: its numbers could tell of rows that are not released\n"),
        Some(Numbers::Told(measured)) => {
            let mut said = vec![format!("read {}", counted(measured.rows, "row"))];
            said.extend(measured.bytes.map(|bytes| counted(bytes, "byte")));
            let key = if is_pseudonymised(plan) { "pseudonymised key" } else { "key" };
            said.extend(measured.keys.map(|keys| format!("{} received", counted(keys, key))));
            said.extend(measured.statements.map(|statements| counted(statements, "statement")));
            said.extend(measured.first_row_ms.map(|time| format!("first row after {time:.2} ms")));
            said.extend(measured.total_ms.map(|time| format!("all after {time:.2} ms")));
            let _ = writeln!(text, "   {}", said.join(", "));
        }
    }
}

fn is_pseudonymised(plan: &FragmentPlan) -> bool {
    !plan.keys_from.is_empty() && plan.keys_from.iter().all(|from| from.pseudonymised)
}

fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
