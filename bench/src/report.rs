//! What was measured, as it is printed.

use crate::servers::Kind;

/// One figure: the same work of several programs.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) what: String,
    /// What the values count.
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<(Kind, f64)>,
    pub(crate) goals: Vec<Goal>,
}

/// What Whisk is to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times what another program took.
    Times(Kind, f64),
    /// At most so much.
    Most(f64),
}

impl Figure {
    fn value(&self, kind: Kind) -> Option<f64> {
        self.values.iter().find(|(of, _)| *of == kind).map(|(_, value)| *value)
    }

    /// Prints each value, also as so many times Whisk's, and what became of the goals.
    pub(crate) fn print(&self) {
        println!("\n{}, {}:", self.what, self.unit);
        let whisk = self.value(Kind::Whisk);
        for (kind, value) in &self.values {
            let others = whisk.filter(|_| self.values.len() > 1);
            let times = others.map(|whisk| format!("{:6.2} times whisk", value / whisk));
            println!("  {:<13}{value:10.3}   {}", kind.name(), times.unwrap_or_default());
        }
        for goal in &self.goals {
            let Some(whisk) = whisk else { continue };
            let (text, reached, most) = match *goal {
                Goal::Most(most) => (self.unit.to_owned(), whisk, most),
                Goal::Times(other, most) => {
                    let Some(value) = self.value(other) else { continue };
                    (format!("times {}", other.name()), whisk / value, most)
                }
            };
            let verdict = if reached <= most { "reached" } else { "MISSED" };
            println!("  goal: at most {most} {text}: {reached:.3}, {verdict}");
        }
    }
}

/// The median of what each of several programs took, in the order in which they come up.
pub(crate) fn medians(rounds: &[Vec<(Kind, f64)>]) -> Vec<(Kind, f64)> {
    let mut all: Vec<(Kind, Vec<f64>)> = Vec::new();
    for (kind, value) in rounds.iter().flatten() {
        match all.iter_mut().find(|(of, _)| of == kind) {
            Some((_, values)) => values.push(*value),
            None => all.push((*kind, vec![*value])),
        }
    }
    all.into_iter().map(|(kind, values)| (kind, median(values))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
