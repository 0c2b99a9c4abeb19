//! `aya top`: a running Aya, watched through its admin API.
//!
//! [`client`] asks for counts, [`figures`] makes rates and quantiles of them, [`board`] holds what is chosen to be seen, and
//! [`view`] draws it. When the connection is lost, the last figures stay, marked as old, and it is tried again.

mod board;
mod client;
mod columns;
mod figures;
mod reading;
mod table;
mod view;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base_kit::{Clock as _, MonotonicClock, TimeSpan};
use clap::Args;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::board::Board;
use self::client::{Client, NoAnswer};
use self::reading::Reading;
use crate::admin::{self, DEFAULT_URL, Target};
use crate::output;
use crate::terminal::{Input, Interrupts, Screen, Wish};

/// Shorter intervals would measure the asking.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// Longer ones are not watching any more.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// How often the keyboard is looked at: no wait that could be felt.
const KEYS: Duration = Duration::from_millis(40);
/// Columns of what is printed: fits what most people paste it into.
const PRINTED_WIDTH: usize = 120;

/// What is asked on the command line.
#[derive(Debug, Args)]
pub(crate) struct TopOptions {
    /// The admin port of the Aya to watch
    #[arg(default_value = DEFAULT_URL)]
    url: Target,
    /// The file with the admin token; default: the environment variable AYA_TOKEN, if the port wants one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s")]
    interval: TimeSpan,
    /// Measure one interval, print it and exit
    #[arg(long)]
    once: bool,
    /// For programs; like --once
    #[arg(long)]
    json: bool,
}

/// Watches until told to stop.
pub(crate) fn run(options: TopOptions) -> Result<ExitCode> {
    let interval = options.interval.duration();
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        return Ok(refuse(&format!("the interval {} is not between 100ms and 1h", options.interval)));
    }
    let variable = std::env::var(admin::TOKEN_VARIABLE).ok();
    let token = match admin::token(options.token_file.as_deref(), variable) {
        Ok(token) => token,
        Err(why) => return Ok(refuse(&why)),
    };
    let is_live = !options.once && !options.json;
    if is_live && !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        return Ok(refuse("this is no terminal; --once prints the figures, --json prints them for programs"));
    }
    let shown = options.url.to_string();
    let client = Client::new(options.url, token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        if is_live {
            watch(client, shown, interval).await
        } else {
            once(client, shown, interval, options.json).await
        }
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    ended
}

fn refuse(why: &str) -> ExitCode {
    output::say(&format!("aya: {why}\n"));
    ExitCode::from(2)
}

/// Measures one interval and prints it.
async fn once(mut client: Client, target: String, interval: Duration, json: bool) -> Result<ExitCode> {
    let mut board = Board::new(target);
    for is_last in [false, true] {
        let answer = first(&mut client, &board.target).await?;
        board.take(Ok(answer), MonotonicClock.now());
        if !is_last {
            tokio::time::sleep(interval).await;
        }
    }
    if json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&board.figures)?))?;
    } else {
        output::print(&view::text(&board, PRINTED_WIDTH))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An answer without which there is nothing to show.
async fn first(client: &mut Client, target: &str) -> Result<Reading> {
    match client.fetch().await {
        Ok(reading) => Ok(reading),
        Err(NoAnswer(why)) => bail!("cannot ask {target}: {why}"),
    }
}

/// Shows it live.
async fn watch(mut client: Client, target: String, interval: Duration) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    // What cannot be reached at all is likely to be a mistake: said at once, in one line.
    let reading = first(&mut client, &target).await?;
    let mut board = Board::new(target);
    board.take(Ok(reading), MonotonicClock.now());
    let (send, mut answers) = mpsc::channel(1);
    let mut asking = std::pin::pin!(ask_regularly(client, interval, send));
    let mut screen = Screen::open().context("cannot use this terminal")?;
    let mut ticks = tokio::time::interval(KEYS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut is_new, mut second_shown) = (true, None);
    loop {
        // How long there has been no connection is told in seconds.
        let second = board.lost.as_ref().map(|lost| lost.lasts(MonotonicClock.now()).as_secs());
        if std::mem::take(&mut is_new) || second != second_shown {
            let now = MonotonicClock.now();
            screen.draw(|frame| view::draw(frame, &mut board, now)).context("cannot draw")?;
            second_shown = second;
        }
        tokio::select! {
            () = interrupts.come() => return Ok(ExitCode::SUCCESS),
            () = &mut asking => bail!("nobody asks any more"),
            Some(answer) = answers.recv() => {
                board.take(answer, MonotonicClock.now());
                is_new = true;
            }
            _ = ticks.tick() => {}
        }
        for input in screen.input().context("cannot read from this terminal")? {
            is_new = true;
            if let Input::Key(key) = input
                && board.press(key) == Wish::End
            {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Asks again and again; stands beside the loop that draws, so that an Aya that does not answer does not hold up the keyboard.
async fn ask_regularly(
    mut client: Client,
    interval: Duration,
    answers: mpsc::Sender<Result<Reading, NoAnswer>>,
) {
    loop {
        tokio::time::sleep(interval).await;
        if answers.send(client.fetch().await).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
