//! Mixed load for minutes, and whether memory grows.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Client, Evidence, Stopwatch, answer, checksum, load};
use scenarios::noise;

use crate::vitals::{MIB, Vitals, wait_for_rest};
use crate::{chunked, config, is_long};

/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Into so many blocks the time after the warm-up is cut; of each the least counts, since what is only in use for a moment is no leak.
const BLOCKS: usize = 12;
/// A rise over the whole time counts as noise below this: an allocator takes and keeps memory in pieces of MiBs.
const GRAIN_BYTES: f64 = 2.0 * MIB as f64;
/// Or below so many standard deviations of what lies beside the line.
const DEVIATIONS: f64 = 3.0;

/// Warm-up, and what is judged.
fn spans() -> (Duration, Duration) {
    let (warm_up, judged) = if is_long() { (60, 600) } else { (12, 36) };
    (Duration::from_secs(warm_up), Duration::from_secs(judged))
}

/// A straight line through values at equal distances: how much it rises from the first to the last, and the standard deviation of what
/// lies beside it.
fn regression(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let (middle, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let places = || (0..values.len()).map(|place| place as f64 - middle);
    let slope = places().zip(values).map(|(place, value)| place * (value - mean)).sum::<f64>()
        / places().map(|place| place * place).sum::<f64>();
    let beside =
        places().zip(values).map(|(place, value)| (value - mean - slope * place).powi(2)).sum::<f64>();
    (slope * (count - 1.0), (beside / (count - 2.0).max(1.0)).sqrt())
}

/// Whether memory rises by more than noise, and goes on rising: caches that fill up come to rest, and an allocator that takes a piece
/// now and then rests in between.
fn is_leak(blocks: &[f64]) -> bool {
    let (rise, deviation) = regression(blocks);
    let (late, _) = regression(blocks.get(blocks.len() / 2..).unwrap_or_default());
    let rises = rise > GRAIN_BYTES && rise > DEVIATIONS * deviation && late > GRAIN_BYTES / 2.0;
    let step = rise / blocks.len() as f64 / 2.0;
    rises && new_heights(blocks, step) > blocks.len() / 3
}

/// How often it was higher than ever before, by at least so much.
fn new_heights(blocks: &[f64], by: f64) -> usize {
    let Some((&first, rest)) = blocks.split_first() else { return 0 };
    let mut highest = first;
    let is_new = |height: &&f64| {
        let is_higher = **height >= highest + by;
        if is_higher {
            highest = **height;
        }
        is_higher
    };
    rest.iter().filter(is_new).count()
}

#[test]
fn a_leak_is_told_from_noise() {
    let mib = MIB as f64;
    let noisy = |slope: f64| {
        let value =
            |(place, die): (usize, u8)| 50.0 * mib + f64::from(die) * mib / 256.0 + slope * place as f64;
        (0..BLOCKS).zip(noise(BLOCKS, 5)).map(value).collect::<Vec<_>>()
    };
    assert!(!is_leak(&noisy(0.0)) && !is_leak(&noisy(-mib)), "noise is no leak");
    assert!(is_leak(&noisy(0.5 * mib)), "half a MiB a block is one");
    let filling: Vec<f64> = (0..BLOCKS).map(|block| mib * block.min(BLOCKS / 2) as f64).collect();
    assert!(!is_leak(&filling), "a cache that is full is none");
    for steps in [
        &[54.7, 56.7, 61.7, 61.7, 61.6, 61.6, 61.6, 61.6, 61.6, 63.4, 63.4][..],
        &[55.5, 57.5, 62.2, 62.25, 62.3, 62.2, 62.1, 62.1, 62.0, 63.8, 63.9, 63.95],
    ] {
        let steps: Vec<f64> = steps.iter().map(|height| height * mib).collect();
        assert!(!is_leak(&steps), "an allocator that took a piece three times");
    }
    // A step is what an allocator does; it is judged by what it is against the rest.
    let (rise, deviation) = regression(&[1.0, 2.0, 3.0, 4.0]);
    assert!((rise - 3.0).abs() < 1e-9 && deviation < 1e-9);
}

/// What one client does again and again: everything that ends in another way.
fn round(aya: &Aya, number: u64) {
    let body = noise(usize::try_from(number % 5_000).unwrap_or_default(), number);
    match number % 6 {
        0 => drop(TcpStream::connect(aya.listener("web"))),
        1 => {
            let mut client = aya.client();
            client.offer("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.offer(chunked(&body, 777, ""));
            assert_eq!(client.try_response().map(|response| response.text()).ok(), Some(checksum(&body)));
        }
        2 => {
            let mut client = aya.client();
            client.offer("GET /half HTTP/1.1\r\nHo");
            client.reset();
        }
        3 => {
            let mut client = aya.client();
            client.offer("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf");
        }
        4 => assert_eq!(aya.get("/break").status, 502),
        _ => {
            let mut client: Client = aya.client();
            (0..10).for_each(|_| assert_eq!(client.get("/").status, 200));
        }
    }
}

/// Reloads again and again: routes, pools and endpoints come and go.
fn change(aya: &Aya, number: usize, text: &dyn Fn(usize) -> String) {
    let text = format!("{}admin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n", text(number));
    assert_eq!(aya.admin("POST", "/api/v1/config", &text).status, 200);
    drop(aya.metrics());
}

/// Under load of every kind, with connections that come and go and configurations that change, memory does not grow, and nothing
/// is left at the end.
#[test]
fn memory_does_not_grow() {
    let backends: Vec<_> = (0..3).map(|_| sums()).collect();
    let text = |number: usize| {
        let pool = "connections: {idle: 1s}, ejection: off";
        let route = format!("retry: {{attempts: 1}}, timeouts: {{request: {}s}}", 60 + number % 2);
        let used: Vec<_> = backends.iter().take(2 + number % 2).collect();
        config("timeouts: {half-close: 200ms}", &route, pool, &used)
    };
    let aya = Aya::start(&text(0));
    (0..100).for_each(|_| assert_eq!(aya.get("/").status, 200));
    let before = Vitals::of(&aya);
    let (warm_up, judged) = spans();
    let (over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let run = load(&aya.url("/"), 16);
    let (samples, reloads) = std::thread::scope(|scope| {
        for client in 0..3 {
            let (aya, over, rounds) = (&aya, &over, &rounds);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    round(aya, client * 1_000_003 + number);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut samples, mut reloads, watch) = (Vec::new(), 0, Stopwatch::start());
        while watch.elapsed() < warm_up + judged {
            std::thread::sleep(LOOK_EVERY);
            reloads += 1;
            change(&aya, reloads, &text);
            if watch.elapsed() > warm_up {
                samples.push(aya.memory().resident as f64);
            }
            backends.iter().for_each(Backend::forget);
        }
        over.store(true, Ordering::Relaxed);
        (samples, reloads)
    });
    let wrk = run.finish();
    change(&aya, 0, &text);
    let after = wait_for_rest(&aya, &before);
    let least = |block: &[f64]| block.iter().copied().fold(f64::INFINITY, f64::min);
    let blocks: Vec<f64> = samples.chunks(samples.len().div_ceil(BLOCKS)).map(least).collect();
    let (rise, deviation) = regression(&blocks);
    let shown: Vec<_> = blocks.iter().map(|bytes| format!("{:.1}", bytes / MIB as f64)).collect();
    let seen = format!(
        "{} requests of wrk, {} rounds of other clients, {reloads} reloads in {} s after {} s of warm-up: rise {:.2} MiB, standard deviation \
         beside the line {:.2} MiB, blocks (MiB) {}; descriptors {} → {}",
        wrk.requests,
        rounds.into_inner(),
        judged.as_secs(),
        warm_up.as_secs(),
        rise / MIB as f64,
        deviation / MIB as f64,
        shown.join(" "),
        before.descriptors,
        after.descriptors,
    );
    println!("{seen}");
    let claim = "under mixed load with reloads and churn, memory does not grow: the line through the least of each twelfth of the time rises by less \
                 than 2 MiB, or less than three standard deviations of what lies beside it, or by less than 1 MiB in the second half, or reaches new heights in at most a third of the twelfths; and every descriptor and count is given back";
    let sound = !is_leak(&blocks) && wrk.bad_answers == 0;
    Evidence::of("soak", file!()).claim(claim, sound, seen.as_str());
    assert!(sound, "{seen}\n{}", wrk.text);
}

/// A backend that answers with the checksum of what it got, and breaks off where it is asked to.
fn sums() -> Backend {
    Backend::script(|session| {
        while let Some(request) = session.request()? {
            if request.target == "/break" {
                return Ok(());
            }
            session.send(answer(200, &[], checksum(&request.body)))?;
        }
        Ok(())
    })
}
