//! Programs that check: what passes, what is said, and that nothing of them is left.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::fs;
use std::path::Path;
use std::time::Duration;

use base_model::model::CheckKind;
use stage::{DEADLINE, Stage, check, endpoint, nobody, pool, soon, until};
use tokio::time::timeout;
use traffic_balance::Health;
use traffic_health::{Probe, kinds};

fn exec(words: &[&str]) -> CheckKind {
    let arguments = words[1..].iter().map(|word| (*word).into()).collect();
    CheckKind::Exec { program: words[0].into(), arguments }
}

fn probe(words: &[&str]) -> Box<dyn Probe> {
    let check = check(exec(words));
    kinds::ALL.iter().find_map(|kind| kind.build(&check)).unwrap().unwrap()
}

async fn verdict(words: &[&str]) -> String {
    let target = stage::target("[::1]:8080".parse().unwrap());
    match soon("a verdict", probe(words).run(&target)).await {
        Ok(passed) => format!("passed: {passed}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// What a shell script comes to.
async fn script(text: &str) -> String {
    verdict(&["/bin/sh", "-c", text]).await
}

/// Whether a process of this number runs; a zombie does not.
fn runs(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn the_exit_status_decides_and_the_first_line_is_kept() {
    assert_eq!(verdict(&["true"]).await, "passed: exit status 0");
    assert_eq!(
        verdict(&["/bin/echo", "all", "fine; $HOME *"]).await,
        "passed: exit status 0, `all fine; $HOME *`"
    );
    assert_eq!(
        script("echo; echo '  lag of 40 s'; echo more; exit 3").await,
        "failed: exit status 3, `lag of 40 s`"
    );
    assert_eq!(script("echo to the other >&2; false").await, "failed: exit status 1, `to the other`");
    assert_eq!(script("kill -9 $$").await, "failed: ended by signal 9");
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_and_says_so() {
    let missing = verdict(&["/nowhere/check"]).await;
    assert_eq!(missing, "failed: /nowhere/check cannot be run: No such file or directory (os error 2)");
    let folder = verdict(&["/"]).await;
    assert_eq!(folder, "failed: / cannot be run: Permission denied (os error 13)");
}

#[tokio::test]
async fn it_knows_whom_to_check_and_little_else() {
    let said = script("env | sort | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | tr '\\n' ' '").await;
    let path = std::env::var("PATH").unwrap();
    let all = format!("AYA_ADDRESS=::1 AYA_ENDPOINT=endpoint:80 AYA_POOL=p AYA_PORT=8080 PATH={path} ");
    let shown: String = all.trim_end().chars().take(120).collect();
    assert!(said.starts_with(&format!("passed: exit status 0, `{shown}")), "{said}");
    assert_eq!(script("cat; echo no input").await, "passed: exit status 0, `no input`");
}

#[tokio::test]
async fn much_output_is_read_and_little_is_kept() {
    let said = script("yes 'a long line' | head -c 3000000; exit 1").await;
    assert_eq!(said, "failed: exit status 1, `a long line`");
    let said = script("head -c 100000 /dev/zero | tr '\\0' x; exit 1").await;
    assert_eq!(said, format!("failed: exit status 1, `{}…`", "x".repeat(120)));
}

#[tokio::test]
async fn what_it_leaves_behind_is_not_waited_for() {
    // `sleep` holds the output open.
    let said = script("sleep 300 & echo $!").await;
    let id = said.trim_start_matches("passed: exit status 0, `").trim_end_matches('`').to_owned();
    assert!(runs(&id), "{said}");
    let id = rustix::process::Pid::from_raw(id.parse().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn when_its_time_is_over_the_whole_group_is_killed() {
    let folder = std::env::temp_dir().join(format!("aya-exec-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (own, child) = (folder.join("own"), folder.join("child"));
    let text = format!("echo $$ > {}; sleep 300 & echo $! > {}; wait", own.display(), child.display());
    let target = stage::target("127.0.0.1:1".parse().unwrap());
    let probe = probe(&["/bin/sh", "-c", &text]);
    let written = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'));
    let both = until("it runs", || written(&own) && written(&child));
    tokio::select! {
        _ = probe.run(&target) => panic!("it does not end by itself"),
        () = both => {}
    }
    let numbers = [own, child].map(|path| fs::read_to_string(path).unwrap());
    until("both are gone", || !numbers.iter().any(|id| runs(id))).await;
    let zombie = || Path::new(&format!("/proc/{}", numbers[0].trim())).exists();
    until("no zombie is left", || !zombie()).await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_program_that_hangs_is_a_failure_and_the_runtime_goes_on() {
    let mut hanging = check(exec(&["/bin/sh", "-c", "trap '' TERM; sleep 300"]));
    hanging.timeout = Duration::from_millis(50);
    let stage = Stage::new(&pool(vec![endpoint(nobody().await)], vec![hanging]));
    let told = timeout(DEADLINE, stage.until_told(1)).await.unwrap();
    assert_eq!(told, ["unchecked>down: exec check: timed out after 50ms"]);
    soon("stop", stage.monitor.stop()).await;
}

#[tokio::test]
async fn a_file_takes_an_endpoint_out_and_brings_it_back() {
    let file = std::env::temp_dir().join(format!("aya-maintenance-{}", std::process::id()));
    let path = file.to_str().unwrap();
    let configured = pool(vec![endpoint(nobody().await)], vec![check(exec(&["test", "!", "-e", path]))]);
    let stage = Stage::new(&configured);
    until("up", || stage.endpoint(0).health() == Health::Up).await;
    fs::write(&file, "").unwrap();
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    fs::remove_file(&file).unwrap();
    until("up", || stage.endpoint(0).health() == Health::Up).await;
    let told = stage.told();
    assert_eq!(told[1], "up>down: exec check: exit status 1");
}
