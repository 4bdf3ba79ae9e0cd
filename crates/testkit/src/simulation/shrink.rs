//! A plan that fails becomes one of few actions that fails the same way.

use crate::simulation::{Cryptography, Plan, run};

/// How many runs are spent on it.
const PATIENCE: usize = 600;

/// Drops actions, many at once and then one by one, as long as the same rule is violated. Gives the plan as it is if
/// nothing is wrong with it.
#[must_use]
pub fn shrink(plan: &Plan, cryptography: Cryptography) -> Plan {
    let wrong = |plan: &Plan| run(plan, cryptography, false).violation.map(|violation| violation.rule);
    let mut best = plan.clone();
    let Some(rule) = wrong(&best) else { return best };
    let mut runs = 0;
    let mut size = best.actions.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut dropped = false;
        while start < best.actions.len() && runs < PATIENCE {
            let mut smaller = best.clone();
            let end = (start + size).min(smaller.actions.len());
            smaller.actions.drain(start..end);
            runs += 1;
            if wrong(&smaller) == Some(rule) {
                best = smaller;
                dropped = true;
            } else {
                start = end;
            }
        }
        if size > 1 || !dropped {
            size /= 2;
        }
    }
    best
}
