//! Tests of comparing endpoints with their peers, as it shows at the pool.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base_kit::{Rng, SeededRng};
use base_model::model::PassiveCheck;

use super::*;
use crate::fixture::{endpoint, pool};
use crate::pool::PoolState;
use crate::transition::{Outcome, Transition};

/// How an endpoint does.
#[derive(Clone, Copy)]
struct Habit {
    /// Requests in a second when it has all of its share.
    rate: u32,
    millis: f64,
    /// Share of answers with status 500.
    fails: f64,
    /// It answers nothing; what it gets piles up.
    is_silent: bool,
}

const FINE: Habit = Habit { rate: 100, millis: 20.0, fails: 0.0, is_silent: false };
const SLOW: Habit = Habit { millis: 200.0, ..FINE };

/// A pool, and time that goes on.
struct World {
    pool: Arc<PoolState>,
    policy: PassiveCheck,
    second: u64,
    rng: SeededRng,
}

impl World {
    fn new(count: usize) -> Self {
        Self::with(count, PassiveCheck::default())
    }

    fn with(count: usize, policy: PassiveCheck) -> Self {
        let mut settings = pool("p", (0..count).map(|number| endpoint(number, 1)).collect());
        settings.passive = policy;
        Self { pool: PoolState::new(&settings), policy, second: 100, rng: SeededRng::new(7) }
    }

    fn now(&self) -> Moment {
        Moment::ZERO + Duration::from_secs(self.second)
    }

    /// One second: everybody gets requests by its share, and is looked at.
    fn tick(&mut self, habits: &[Habit]) -> Vec<Transition> {
        let now = self.now();
        for (endpoint, habit) in self.pool.endpoints().iter().zip(habits) {
            let share = if endpoint.is_eligible(now) { endpoint.share_percent(now) } else { 0 };
            for _ in 0..habit.rate * share / FULL {
                self.request(endpoint, *habit);
            }
        }
        self.second += 1;
        self.pool.tend(self.now())
    }

    /// The same, after a calm time.
    fn after_calm(mut self, seconds: u32, habits: &[Habit]) -> (Self, Vec<Transition>) {
        assert_eq!(self.ticks(3, &vec![FINE; habits.len()]), []);
        let told = self.ticks(seconds, habits);
        (self, told)
    }

    fn request(&mut self, endpoint: &EndpointState, habit: Habit) {
        assert!(endpoint.try_begin(u32::MAX));
        if habit.is_silent {
            return endpoint.begin_waiting();
        }
        let now = self.now();
        let luck = self.rng.below(1_000) as f64 / 1_000.0;
        let status = if luck < habit.fails { 500 } else { 200 };
        let spread = 0.5 + self.rng.below(1_000) as f64 / 1_000.0;
        endpoint.observe_answer(Duration::from_secs_f64(habit.millis * spread / 1e3), status);
        endpoint.record(Outcome::Success, &self.policy, now);
        endpoint.end();
    }

    fn ticks(&mut self, seconds: u32, habits: &[Habit]) -> Vec<Transition> {
        (0..seconds).flat_map(|_| self.tick(habits)).collect()
    }

    fn shares(&self) -> Vec<u32> {
        let now = self.now();
        let share = |endpoint: &Arc<EndpointState>| match endpoint.is_eligible(now) {
            true => endpoint.share_percent(now),
            false => 0,
        };
        self.pool.endpoints().iter().map(share).collect()
    }
}

fn steps(transitions: &[Transition]) -> Vec<(&str, &str)> {
    transitions.iter().map(|told| (told.from, told.to)).collect()
}

fn peers(change: impl FnOnce(&mut PeerCheck)) -> PassiveCheck {
    let mut policy = PassiveCheck::default();
    change(policy.peers.as_mut().expect("on by default"));
    policy
}

#[test]
fn alike_is_alike() {
    let mut world = World::new(8);
    assert_eq!(world.ticks(300, &[FINE; 8]), []);
    // Slow together, failing together: nobody is worse than the others.
    assert_eq!(world.ticks(60, &[Habit { fails: 0.5, ..SLOW }; 8]), []);
    assert_eq!(world.shares(), [100; 8]);
}

#[test]
fn slower_ones_get_less_and_then_nothing_for_a_while() {
    let habits = [FINE, SLOW, FINE, FINE];
    let (mut world, first) = World::new(4).after_calm(1, &habits);
    assert_eq!(steps(&first), [("up", "degraded")]);
    assert_eq!((first[0].kind, &*first[0].endpoint), (CauseKind::SlowerThanPeers, "10.0.0.1:80"));
    assert!(
        first[0].cause.contains("its peers take 20ms (median); it gets 25% of its share"),
        "{}",
        first[0].cause
    );
    assert_eq!(world.shares(), [100, 25, 100, 100]);
    assert_eq!(steps(&world.tick(&habits)), [("degraded", "ejected")]);
    assert_eq!(world.shares(), [100, 0, 100, 100]);
    let back = world.ticks(10, &habits);
    assert_eq!(steps(&back), [("ejected", "degraded")]);
    assert_eq!(world.shares(), [100, TRICKLE, 100, 100]);
    // With a trickle it is found out again by few requests, and stays out twice as long.
    let again = world.ticks(3, &habits);
    assert_eq!(steps(&again), [("degraded", "ejected")]);
    assert!(again[0].cause.ends_with("; for 20s"), "{}", again[0].cause);
}

#[test]
fn whoever_recovers_gets_all_back_in_steps() {
    let (mut world, _) = World::new(4).after_calm(2, &[FINE, SLOW, FINE, FINE]);
    assert_eq!(world.shares()[1], 0);
    world.ticks(9, &[FINE; 4]);
    let shares: Vec<u32> = (0..8)
        .map(|_| {
            world.tick(&[FINE; 4]);
            world.shares()[1]
        })
        .collect();
    assert!(shares.is_sorted() && shares[0] == TRICKLE && shares.last() == Some(&FULL), "{shares:?}");
    assert!(shares.contains(&20) && shares.contains(&40), "{shares:?}");
}

#[test]
fn a_bit_slower_is_not_taken_out() {
    // Three and a half times as slow: an old machine, of use to somebody.
    let mut world = World::new(4);
    let told = world.ticks(60, &[FINE, Habit { millis: 70.0, ..FINE }, FINE, FINE]);
    assert!(told.iter().all(|told| told.to == "degraded"), "{told:?}");
    assert_eq!(world.shares(), [100, TRICKLE, 100, 100]);
    // Twice as slow is like its peers.
    let mut world = World::new(4);
    assert_eq!(world.ticks(60, &[FINE, Habit { millis: 40.0, ..FINE }, FINE, FINE]), []);
    // So is ten times as slow, by a millisecond.
    let quick = |millis| Habit { millis, ..FINE };
    let mut world = World::new(4);
    assert_eq!(world.ticks(60, &[quick(0.1), quick(1.0), quick(0.1), quick(0.1)]), []);
}

#[test]
fn those_that_fail_more_often_get_less() {
    let bad = Habit { fails: 0.6, millis: 1.0, ..FINE };
    let (_, told) = World::new(4).after_calm(5, &[Habit { fails: 0.02, ..FINE }, FINE, bad, FINE]);
    assert_eq!(steps(&told), [("up", "degraded"), ("degraded", "ejected")]);
    assert_eq!(told[0].kind, CauseKind::MoreErrorsThanPeers);
    let cause = &told[0].cause;
    assert!(
        cause.contains("% of its 100 requests fail, 1% of those of its peers; it gets 25% of its share"),
        "{cause}"
    );
    // Failing in vain is quick. Beyond the limit by little is no reason to take it out at once.
    let often = Habit { fails: 0.16, rate: 1_000, ..FINE };
    let (world, told) = World::new(4).after_calm(1, &[FINE, FINE, FINE, often]);
    assert_eq!((steps(&told), world.shares()[3]), (vec![("up", "degraded")], 50));
}

#[test]
fn chance_is_no_reason() {
    // 10 of 100 more is the limit; with few requests such a difference comes by chance.
    let habit = Habit { fails: 0.1, rate: 25, ..FINE };
    let mut world = World::new(6);
    let told = world.ticks(10_000, &[habit; 6]);
    // Of 60,000 judgements one in 10,000, each followed by the end of it.
    assert!(told.len() <= 2 * 6, "{told:?}");
}

#[test]
fn silence_speaks_after_a_while() {
    let mut world = World::new(4);
    let silent = Habit { is_silent: true, ..FINE };
    let told = world.ticks(4, &[FINE, FINE, FINE, silent]);
    assert_eq!(steps(&told), [("up", "degraded"), ("degraded", "ejected")], "{told:?}");
    assert!(told[0].cause.starts_with("it has been silent for "), "{}", told[0].cause);
    // A few long requests are no silence.
    let mut world = World::new(4);
    (1..STUCK_REQUESTS).for_each(|_| world.pool.endpoints()[3].begin_waiting());
    assert_eq!(world.ticks(60, &[FINE, FINE, FINE, Habit { rate: 0, ..FINE }]), []);
}

#[test]
fn not_more_than_a_share_is_treated_so() {
    let mut world = World::new(4);
    world.ticks(30, &[SLOW, FINE, FINE, Habit { millis: 400.0, ..FINE }]);
    let out = |world: &World| world.shares().iter().filter(|share| **share < FULL).count();
    assert_eq!(out(&world), 2, "{:?}", world.shares());
    let one = World::with(4, PassiveCheck { max_share: 0.25, ..PassiveCheck::default() });
    let (world, _) = one.after_calm(1, &[SLOW, FINE, FINE, Habit { millis: 400.0, ..FINE }]);
    assert_eq!(world.shares(), [100, 100, 100, 25], "the worst first");
    // One may always be: else a pool of two would never be helped.
    let (world, _) = World::with(2, PassiveCheck { max_share: 0.1, ..PassiveCheck::default() })
        .after_calm(2, &[SLOW, FINE]);
    assert_eq!(world.shares(), [0, 100]);
}

#[test]
fn the_last_one_stays() {
    let (mut world, _) = World::new(2).after_calm(2, &[SLOW, FINE]);
    let endpoints = world.pool.endpoints();
    assert_eq!(world.shares(), [0, 100]);
    world.ticks(9, &[SLOW, FINE]);
    endpoints[1].set_health(crate::Health::Down, CauseKind::HttpCheck, "test");
    world.ticks(60, &[SLOW, SLOW]);
    assert_ne!(world.shares(), [0, 0], "one with nobody to be compared with serves");
}

#[test]
fn too_few_requests_say_nothing() {
    let rare = [FINE, Habit { rate: 1, ..SLOW }, FINE, FINE];
    let mut world = World::new(4);
    assert_eq!(world.ticks(20, &rare), []);
    assert_eq!(steps(&world.ticks(2, &rare)), [("up", "degraded")], "they are waited for");
    // One that got little to do for long is given more, to be found out.
    let (mut world, _) = World::new(4).after_calm(2, &[FINE, SLOW, FINE, FINE]);
    world.ticks(80, &[FINE, Habit { rate: 0, ..FINE }, FINE, FINE]);
    assert_eq!(world.shares(), [100; 4]);
}

#[test]
fn what_is_not_to_be_looked_at_is_not() {
    let bad = Habit { fails: 0.6, ..SLOW };
    let habits = [FINE, bad, FINE, FINE];
    let neither = peers(|peers| (peers.errors, peers.slower) = (None, None));
    assert_eq!(World::with(4, neither).ticks(30, &habits), []);
    let off = PassiveCheck { peers: None, ..PassiveCheck::default() };
    assert_eq!(World::with(4, off).ticks(30, &habits), []);
    let (_, errors) = World::with(4, peers(|peers| peers.slower = None)).after_calm(1, &habits);
    assert_eq!(errors[0].kind, CauseKind::MoreErrorsThanPeers);
    let (_, times) = World::with(4, peers(|peers| peers.errors = None)).after_calm(1, &habits);
    assert_eq!(times[0].kind, CauseKind::SlowerThanPeers);
}

#[test]
fn levels_are_not_compared() {
    let mut settings = pool("p", (0..6).map(|number| endpoint(number, 1)).collect());
    settings.passive = PassiveCheck::default();
    settings.endpoints[3..].iter_mut().for_each(|far| far.tier = 1);
    let mut world = World::new(0);
    world.pool = PoolState::new(&settings);
    // A backup far away is slow as such.
    assert_eq!(world.ticks(60, &[FINE, FINE, FINE, SLOW, SLOW, SLOW]), []);
}

#[test]
fn requests_that_wait_speak_where_few_are_answered() {
    let mut world = World::new(4);
    world.ticks(3, &[FINE; 4]);
    let mut second = |piling_up: u32| {
        (0..piling_up).for_each(|_| world.pool.endpoints()[3].begin_waiting());
        world.tick(&[FINE, FINE, FINE, Habit { rate: 5, ..FINE }])
    };
    let told: Vec<Transition> = (0..3).flat_map(|_| second(30)).collect();
    assert_eq!(steps(&told), [("up", "degraded"), ("degraded", "ejected")], "{told:?}");
    assert_eq!(told[0].kind, CauseKind::SlowerThanPeers);
}

#[test]
fn queues_that_come_and_go_are_no_reason() {
    let mut world = World::new(6);
    let mut round = || -> Vec<Transition> {
        let one_slow = |slow| std::array::from_fn::<_, 6, _>(|index| if index == slow { SLOW } else { FINE });
        (0..6)
            .flat_map(|slow| [one_slow(slow), [FINE; 6]])
            .flat_map(|habits| world.ticks(1, &habits))
            .collect()
    };
    let first = round();
    assert!(!first.is_empty(), "at first nobody knows that it is usual");
    (0..3).for_each(|_| drop(round()));
    assert_eq!(round(), []);
}

#[test]
fn the_median_of_the_others_is_that_of_the_others() {
    let mut rng = SeededRng::new(3);
    for _ in 0..2_000 {
        let mut times: Vec<f64> = (0..1 + rng.below(6)).map(|_| rng.below(4) as f64).collect();
        times.sort_by(f64::total_cmp);
        let own = rng.below(times.len() as u64) as usize;
        let others: Vec<f64> =
            times.iter().enumerate().filter(|(index, _)| *index != own).map(|(_, time)| *time).collect();
        assert_eq!(
            median_without(&times, Some(times[own])),
            others.get(others.len() / 2).copied(),
            "{times:?}"
        );
        assert_eq!(median_without(&times, None), times.get(times.len() / 2).copied());
    }
    assert_eq!(median_without(&[], None), None);
}

#[test]
fn nobody_is_compared_while_nobody_asks() {
    let mut world = World::new(3);
    let rests =
        |world: &World| world.pool.next_tending_nanos.load(Ordering::Relaxed) == Moment::NEVER.as_nanos();
    let idle = [Habit { rate: 0, ..FINE }; 3];
    assert!(!rests(&world));
    world.ticks(2, &idle);
    assert!(rests(&world), "nothing was ever asked");
    world.ticks(5, &[FINE; 3]);
    assert!(!rests(&world), "it is looked at who is asked");
    world.ticks(30, &idle);
    assert!(!rests(&world), "what was seen counts for a while");
    world.ticks(60, &idle);
    assert!(rests(&world), "and then no longer");
}

#[test]
fn a_pool_that_rests_and_is_compared_no_longer_is_not_due() {
    let mut world = World::new(3);
    world.ticks(2, &[Habit { rate: 0, ..FINE }; 3]);
    let mut settings = pool("p", (0..3).map(|number| endpoint(number, 1)).collect());
    settings.passive.peers = None;
    world.pool.reconcile(&settings);
    world.ticks(3, &[FINE; 3]);
    assert_eq!(world.pool.next_tending_nanos.load(Ordering::Relaxed), Moment::NEVER.as_nanos());
    assert!(!world.pool.is_at_rest.load(Ordering::Relaxed), "else every look would find it due");
}

#[test]
fn after_a_rest_all_is_as_before() {
    let mut world = World::new(3);
    world.ticks(2, &[Habit { rate: 0, ..FINE }; 3]);
    // A long time without a look.
    world.second += 3_600;
    let (_, told) = world.after_calm(20, &[FINE, FINE, SLOW]);
    assert_eq!(steps(&told).first(), Some(&("up", "degraded")), "{told:?}");
    // Those that began to wait just now have not waited for an hour.
    let mut world = World::new(3);
    world.ticks(2, &[Habit { rate: 0, ..FINE }; 3]);
    world.second += 3_600;
    let silent = Habit { is_silent: true, rate: 6, ..FINE };
    assert_eq!(world.tick(&[FINE, FINE, silent]), []);
}
