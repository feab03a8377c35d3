//! Who waits for whom. Nothing here recurses: a chain may be as long as the file.

use std::collections::HashSet;

/// How much of a cycle a message names.
const SHOWN: usize = 12;

/// Every cycle found by following `needs`, each as the agents on it in order, starting with the
/// first of the file. Cycles that share an agent are reported one at a time.
pub fn cycles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::Not; needs.len()];
    let mut reported = HashSet::new();
    let mut cycles = Vec::new();
    for start in 0..needs.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        // The way from `start`, each agent with the next of its needs to follow.
        let mut way = vec![(start, 0)];
        seen[start] = Seen::OnTheWay;
        while let Some((agent, next)) = way.last_mut() {
            let (agent, at) = (*agent, *next);
            *next += 1;
            match needs[agent].get(at) {
                None => {
                    seen[agent] = Seen::Done;
                    way.pop();
                }
                // An agent that needs itself has a fault of its own.
                Some(&need) if need == agent => {}
                Some(&need) if seen[need] == Seen::Not => {
                    seen[need] = Seen::OnTheWay;
                    way.push((need, 0));
                }
                Some(&need) if seen[need] == Seen::OnTheWay => {
                    let cycle: Vec<usize> =
                        way.iter().map(|(on, _)| *on).skip_while(|on| *on != need).collect();
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

/// `a -> b -> a`, the middle of a long one left out.
pub fn describe(cycle: &[usize], name: impl Fn(usize) -> String) -> String {
    let mut names: Vec<String> = cycle.iter().take(SHOWN).map(|&agent| name(agent)).collect();
    if cycle.len() > SHOWN {
        names.push(format!("… {} more …", cycle.len() - SHOWN));
    }
    names.extend(cycle.first().map(|&agent| name(agent)));
    names.join(" -> ")
}

/// These agents and all that they need, in the order of the file.
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

/// Agents in order of start: those of one wave have all their needs in earlier ones. Agents on a
/// cycle are in none.
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
    fn cycles_are_named_from_their_first_agent() {
        assert!(cycles(&[vec![], vec![0], vec![0, 1]]).is_empty());
        assert_eq!(cycles(&[vec![2], vec![0], vec![1]]), [vec![0, 2, 1]]);
        assert_eq!(cycles(&[vec![1], vec![0], vec![3], vec![2]]), [vec![0, 1], vec![2, 3]]);
        assert!(cycles(&[vec![0]]).is_empty(), "needing oneself is another fault");
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
    fn waves_wait_for_their_needs() {
        assert_eq!(waves(&[vec![1, 2], vec![], vec![1], vec![]]), [vec![1, 3], vec![2], vec![0]]);
        assert_eq!(closure(&[vec![1], vec![], vec![]], &[0]), [0, 1]);
    }
}
