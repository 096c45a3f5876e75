//! Balance: how many leases of each pipeline each worker should own. Pure, and the same for everybody who sees the same:
//! loads are as even as the pipelines that each worker serves allow, and as few leases move as that takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A worker that may own leases. Members are told apart by their place in one order, the same for all observers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The pipelines that it serves, by index.
    pub serves: BTreeSet<usize>,
    /// What it owns now, by pipeline.
    pub held: BTreeMap<usize, usize>,
    /// What it owns of pipelines that the observer does not serve.
    pub elsewhere: usize,
}

impl Member {
    fn load(&self) -> usize {
        self.elsewhere + self.held.values().sum::<usize>()
    }

    fn gain(&mut self, pipeline: usize) {
        *self.held.entry(pipeline).or_default() += 1;
    }

    fn lose(&mut self, pipeline: usize) {
        if let Some(held) = self.held.get_mut(&pipeline) {
            *held = held.saturating_sub(1);
        }
    }
}

/// Leases of one pipeline that change hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub pipeline: usize,
    pub from: usize,
    pub to: usize,
    pub leases: usize,
}

/// What should change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balanced {
    /// For each pipeline the members that its loose leases go to, in the order of the leases. Shorter than the leases
    /// where nobody serves the pipeline.
    pub loose: BTreeMap<usize, Vec<usize>>,
    pub moves: Vec<Move>,
}

/// Distributes `loose` leases (how many of each pipeline) and evens out what the members hold.
pub fn balance(members: &[Member], loose: &BTreeMap<usize, usize>) -> Balanced {
    let mut goal = members.to_vec();
    for (pipeline, leases) in loose {
        for _ in 0..*leases {
            let serving = goal.iter_mut().filter(|member| member.serves.contains(pipeline));
            if let Some(member) = serving.min_by_key(|member| member.load()) {
                member.gain(*pipeline);
            }
        }
    }
    while let Some(chain) = evening_chain(&goal) {
        for (from, pipeline, to) in chain {
            goal[from].lose(pipeline);
            goal[to].gain(pipeline);
        }
    }
    difference(members, &goal, loose)
}

/// The shortest chain of single moves that takes a lease from a member to one that has at least two fewer: through
/// others, where the two serve no pipeline in common.
fn evening_chain(members: &[Member]) -> Option<Vec<(usize, usize, usize)>> {
    let mut fullest: Vec<usize> = (0..members.len()).collect();
    fullest.sort_by_key(|index| (usize::MAX - members[*index].load(), *index));
    fullest.into_iter().find_map(|from| chain_from(members, from))
}

fn chain_from(members: &[Member], from: usize) -> Option<Vec<(usize, usize, usize)>> {
    let most = members[from].load().checked_sub(2)?;
    // Each member reached, with the move that reached it, in the order of distance.
    let mut reached: BTreeMap<usize, Option<(usize, usize)>> = BTreeMap::from([(from, None)]);
    let mut ring = VecDeque::from([from]);
    while !ring.is_empty() {
        let mut next = VecDeque::new();
        for giver in std::mem::take(&mut ring) {
            for (pipeline, _) in members[giver].held.iter().filter(|(_, held)| **held > 0) {
                for (taker, member) in members.iter().enumerate() {
                    if member.serves.contains(pipeline) && !reached.contains_key(&taker) {
                        reached.insert(taker, Some((giver, *pipeline)));
                        next.push_back(taker);
                    }
                }
            }
        }
        let emptiest = next.iter().copied().min_by_key(|index| (members[*index].load(), *index));
        if let Some(to) = emptiest.filter(|to| members[*to].load() <= most) {
            return Some(way_to(&reached, to));
        }
        ring = next;
    }
    None
}

fn way_to(reached: &BTreeMap<usize, Option<(usize, usize)>>, to: usize) -> Vec<(usize, usize, usize)> {
    let mut way = Vec::new();
    let mut at = to;
    while let Some(Some((giver, pipeline))) = reached.get(&at) {
        way.push((*giver, *pipeline, at));
        at = *giver;
    }
    way
}

/// What leads from one distribution to another: loose leases fill what is wanting first, so the fewest move.
fn difference(members: &[Member], goal: &[Member], loose: &BTreeMap<usize, usize>) -> Balanced {
    let mut balanced = Balanced::default();
    let pipelines: BTreeSet<usize> = goal.iter().flat_map(|member| member.held.keys().copied()).collect();
    for pipeline in pipelines {
        let held =
            |members: &[Member], index: usize| members[index].held.get(&pipeline).copied().unwrap_or(0);
        let mut wanting: VecDeque<usize> = (0..members.len())
            .flat_map(|index| {
                let wants = held(goal, index).saturating_sub(held(members, index));
                std::iter::repeat_n(index, wants)
            })
            .collect();
        let filled = loose.get(&pipeline).copied().unwrap_or(0).min(wanting.len());
        balanced.loose.insert(pipeline, wanting.drain(..filled).collect());
        for from in 0..members.len() {
            let surplus = held(members, from).saturating_sub(held(goal, from)).min(wanting.len());
            for to in wanting.drain(..surplus) {
                match balanced.moves.last_mut() {
                    Some(last) if (last.pipeline, last.from, last.to) == (pipeline, from, to) => {
                        last.leases += 1
                    }
                    _ => balanced.moves.push(Move { pipeline, from, to, leases: 1 }),
                }
            }
        }
    }
    balanced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A member that serves pipelines 0 to 9 and holds so many of pipeline 0.
    fn holding(leases: usize) -> Member {
        Member { serves: (0..10).collect(), held: BTreeMap::from([(0, leases)]), elsewhere: 0 }
    }

    fn moves(members: &[Member]) -> Vec<(usize, usize, usize)> {
        let balanced = balance(members, &BTreeMap::new());
        balanced.moves.iter().map(|a_move| (a_move.from, a_move.to, a_move.leases)).collect()
    }

    #[test]
    fn a_worker_that_joins_gets_its_share_and_the_others_exchange_nothing() {
        assert_eq!(moves(&[holding(5), holding(5), holding(0)]), [(0, 2, 2), (1, 2, 1)]);
        assert_eq!(moves(&[holding(6), holding(0)]), [(0, 1, 3)]);
    }

    #[test]
    fn what_is_even_to_one_lease_stays() {
        assert_eq!(moves(&[holding(4), holding(3), holding(3)]), []);
        assert_eq!(moves(&[holding(3), holding(4), holding(3)]), []);
    }

    #[test]
    fn loose_leases_go_to_those_who_have_fewest_before_any_moves() {
        let balanced = balance(&[holding(4), holding(1), holding(2)], &BTreeMap::from([(0, 5)]));
        assert_eq!(balanced.loose[&0], [1, 1, 1, 2, 2]);
        assert_eq!(balanced.moves, []);
    }

    #[test]
    fn many_pipelines_of_one_shard_are_spread() {
        let loose = (0..6).map(|pipeline| (pipeline, 1)).collect();
        let balanced = balance(&[holding(0), holding(0), holding(0)], &loose);
        let mut owners: Vec<usize> = balanced.loose.values().flatten().copied().collect();
        owners.sort_unstable();
        assert_eq!(owners, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn a_worker_gets_only_what_it_serves_and_evens_out_through_others() {
        let member = |serves: &[usize], held: &[(usize, usize)]| Member {
            serves: serves.iter().copied().collect(),
            held: held.iter().copied().collect(),
            elsewhere: 0,
        };
        // The first and the last serve nothing in common: one in between takes of the one and gives of the other.
        let members = [member(&[0], &[(0, 4)]), member(&[0, 1], &[(1, 3)]), member(&[1], &[(1, 1)])];
        let balanced = balance(&members, &BTreeMap::new());
        let expected = [
            Move { pipeline: 0, from: 0, to: 1, leases: 1 },
            Move { pipeline: 1, from: 1, to: 2, leases: 1 },
        ];
        assert_eq!(balanced.moves, expected);
        // Nobody serves it: it stays loose.
        assert_eq!(balance(&members, &BTreeMap::from([(7, 2)])).loose.get(&7), None);
    }

    #[test]
    fn what_a_worker_holds_elsewhere_counts() {
        let busy = Member { elsewhere: 4, ..holding(0) };
        assert_eq!(moves(&[holding(4), busy]), []);
    }

    fn apply(members: &mut [Member], balanced: &Balanced) {
        for (pipeline, owners) in &balanced.loose {
            owners.iter().for_each(|owner| members[*owner].gain(*pipeline));
        }
        for a_move in &balanced.moves {
            for _ in 0..a_move.leases {
                members[a_move.from].lose(a_move.pipeline);
                members[a_move.to].gain(a_move.pipeline);
            }
        }
    }

    proptest! {
        /// Where all serve all: even to one lease, nothing moves that need not, and nothing is left to do afterwards.
        #[test]
        fn a_uniform_fleet_is_even(held in prop::collection::vec((0..20_usize, 0..20_usize), 1..7), loose in 0..30_usize) {
            let mut members: Vec<Member> = held
                .iter()
                .map(|(first, second)| Member { held: BTreeMap::from([(0, *first), (1, *second)]), ..holding(0) })
                .collect();
            let total: usize = members.iter().map(Member::load).sum::<usize>() + loose;
            let balanced = balance(&members, &BTreeMap::from([(1, loose)]));
            let (floor, extra) = (total / members.len(), total % members.len());
            // Those above their share must give; whoever has the most may keep the odd one.
            let above: usize = members.iter().map(|member| member.load().saturating_sub(floor)).sum();
            let odd_kept = members.iter().filter(|member| member.load() > floor).count().min(extra);
            let moved: usize = balanced.moves.iter().map(|a_move| a_move.leases).sum();
            prop_assert_eq!(moved, above - odd_kept);
            apply(&mut members, &balanced);
            let loads: Vec<usize> = members.iter().map(Member::load).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
            prop_assert_eq!(balance(&members, &BTreeMap::new()).moves, []);
        }

        /// Where some serve a part: leases stay with those who serve them, none gets lost, and it comes to rest at once.
        #[test]
        fn a_mixed_fleet_comes_to_rest(
            serves in prop::collection::vec(prop::collection::btree_set(0..4_usize, 1..4), 1..6),
            loose in prop::collection::btree_map(0..4_usize, 0..12_usize, 0..4),
        ) {
            let mut members: Vec<Member> =
                serves.into_iter().map(|serves| Member { serves, ..Member::default() }).collect();
            let balanced = balance(&members, &loose);
            apply(&mut members, &balanced);
            for (pipeline, leases) in &loose {
                let held: usize = members.iter().filter_map(|member| member.held.get(pipeline)).sum();
                let is_served = members.iter().any(|member| member.serves.contains(pipeline));
                prop_assert_eq!(held, if is_served { *leases } else { 0 });
            }
            for member in &members {
                prop_assert!(member.held.iter().all(|(pipeline, held)| *held == 0 || member.serves.contains(pipeline)));
            }
            prop_assert_eq!(balance(&members, &BTreeMap::new()).moves, []);
        }
    }
}
