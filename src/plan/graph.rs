//! The graph of needs. No function recurses: a chain may be as long as the file.

use std::collections::HashSet;

/// Agents of a cycle that a message names.
const MAX_SHOWN: usize = 12;

/// The cycles of `needs`, each as its agents in order, beginning with the first in the file. If
/// cycles share an agent, only one is returned.
pub fn cycles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        New,
        OnPath,
        Done,
    }
    let mut visits = vec![Visit::New; needs.len()];
    let mut reported = HashSet::new();
    let mut cycles = Vec::new();
    for start in 0..needs.len() {
        if visits[start] != Visit::New {
            continue;
        }
        // The path from `start`: each agent with the next of its needs to follow.
        let mut path = vec![(start, 0)];
        visits[start] = Visit::OnPath;
        while let Some((agent, next)) = path.last_mut() {
            let (agent, at) = (*agent, *next);
            *next += 1;
            match needs[agent].get(at) {
                None => {
                    visits[agent] = Visit::Done;
                    path.pop();
                }
                // An agent that needs itself is another fault.
                Some(&need) if need == agent => {}
                Some(&need) if visits[need] == Visit::New => {
                    visits[need] = Visit::OnPath;
                    path.push((need, 0));
                }
                Some(&need) if visits[need] == Visit::OnPath => {
                    let cycle: Vec<usize> =
                        path.iter().map(|(on, _)| *on).skip_while(|on| *on != need).collect();
                    if cycle.iter().all(|on| !reported.contains(on)) {
                        reported.extend(cycle.iter().copied());
                        cycles.push(from_first(cycle));
                    }
                }
                Some(_) => {}
            }
        }
    }
    cycles
}

fn from_first(mut cycle: Vec<usize>) -> Vec<usize> {
    let first = cycle.iter().enumerate().min_by_key(|(_, agent)| **agent).map_or(0, |(at, _)| at);
    cycle.rotate_left(first);
    cycle
}

/// The cycle as `a -> b -> a`, without the middle of a long one.
pub fn describe(cycle: &[usize], name: impl Fn(usize) -> String) -> String {
    let mut names: Vec<String> = cycle.iter().take(MAX_SHOWN).map(|&agent| name(agent)).collect();
    if cycle.len() > MAX_SHOWN {
        names.push(format!("… {} more …", cycle.len() - MAX_SHOWN));
    }
    names.extend(cycle.first().map(|&agent| name(agent)));
    names.join(" -> ")
}

/// The wanted agents and all that they need, in the order of the file.
pub fn closure(needs: &[Vec<usize>], wanted: &[usize]) -> Vec<usize> {
    let mut taken = vec![false; needs.len()];
    let mut open = wanted.to_vec();
    while let Some(agent) = open.pop() {
        if !std::mem::replace(&mut taken[agent], true) {
            open.extend(&needs[agent]);
        }
    }
    (0..needs.len()).filter(|&agent| taken[agent]).collect()
}

/// The agents in order of start. Agents of one wave need only agents of earlier ones. Agents on a
/// cycle are left out.
pub fn waves(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (agent, needs) in needs.iter().enumerate() {
        for &need in needs {
            needed_by[need].push(agent);
        }
    }
    let mut waves = Vec::new();
    let mut wave: Vec<usize> = (0..needs.len()).filter(|&agent| missing[agent] == 0).collect();
    while !wave.is_empty() {
        let mut next = Vec::new();
        for &done in &wave {
            for &agent in &needed_by[done] {
                missing[agent] -= 1;
                if missing[agent] == 0 {
                    next.push(agent);
                }
            }
        }
        next.sort_unstable();
        waves.push(std::mem::replace(&mut wave, next));
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_begins_with_its_first_agent() {
        assert!(cycles(&[vec![], vec![0], vec![0, 1]]).is_empty());
        assert_eq!(cycles(&[vec![2], vec![0], vec![1]]), [vec![0, 2, 1]]);
        assert_eq!(cycles(&[vec![1], vec![0], vec![3], vec![2]]), [vec![0, 1], vec![2, 3]]);
        assert!(cycles(&[vec![0]]).is_empty(), "an agent that needs itself is another fault");
        let name = |agent: usize| ["a", "b", "c"][agent].to_owned();
        assert_eq!(describe(&[0, 2, 1], name), "a -> c -> b -> a");
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let chain: Vec<Vec<usize>> =
            (0..10_000).map(|agent| if agent == 0 { vec![] } else { vec![agent - 1] }).collect();
        assert!(cycles(&chain).is_empty());
        assert_eq!(closure(&chain, &[9_999]).len(), 10_000);
        assert_eq!(waves(&chain).len(), 10_000);
        let mut ring = chain;
        ring[0] = vec![9_999];
        assert_eq!(cycles(&ring).len(), 1);
        assert!(describe(&cycles(&ring)[0], |agent| agent.to_string()).contains("9988 more"));
    }

    #[test]
    fn an_agent_is_in_a_wave_after_those_it_needs() {
        assert_eq!(waves(&[vec![1, 2], vec![], vec![1], vec![]]), [vec![1, 3], vec![2], vec![0]]);
        assert_eq!(closure(&[vec![1], vec![], vec![]], &[0]), [0, 1]);
    }
}
