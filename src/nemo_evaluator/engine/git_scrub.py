"""What a solver could read the solution in is removed from the repositories of a workspace.

Kept: the commit that is checked out, what came before it, the index and the working tree. Removed:
all other branches, tags, remotes and stashes, reflogs, and every object that only they reach. The
command fails if any commit is left that is not an ancestor of the one checked out.
"""

from __future__ import annotations

import logging

from ..sandboxes.contract import Sandbox, SandboxLost
from ..types import Phase, RolloutKey

SECONDS = 900.0
_SCRUB = """\
scrub() {
  cd "$1" || return 4
  # Somebody else's repository is read only by who says that it is safe.
  git rev-parse --git-dir > /dev/null 2>&1 || git config --global --add safe.directory "$PWD"
  base=$(git rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null) || { skipped no_head; return 0; }
  start=$(date +%s)
  dir=$(git rev-parse --absolute-git-dir) || return 4
  before=$(commits | wc -l)
  git update-ref refs/heads/_nel_work "$base" &&
    git symbolic-ref HEAD refs/heads/_nel_work || return 4
  git remote | while read -r name; do git remote remove "$name"; done
  git for-each-ref --format='delete %(refname)' | grep -v '^delete refs/heads/_nel_work$' |
    git update-ref --no-deref --stdin || return 4
  rm -rf "$dir/logs" "$dir/worktrees" "$dir/refs/original"
  for name in ORIG FETCH MERGE CHERRY_PICK REVERT REBASE BISECT AUTO_MERGE; do
    rm -f "$dir/${name}_HEAD" "$dir/$name"
  done
  rm -f "$dir"/objects/pack/*.keep "$dir"/objects/pack/*.promisor "$dir/objects/info/alternates"
  git -c gc.reflogExpire=now -c gc.reflogExpireUnreachable=now gc -q --prune=now; gc=$?
  git rev-list HEAD | sort > "${TMPDIR:-/tmp}/.nel-kept"
  left=$(commits | sort | comm -23 - "${TMPDIR:-/tmp}/.nel-kept" | wc -l)
  rm -f "${TMPDIR:-/tmp}/.nel-kept"
  echo "NEL_GIT_CLEANUP base=$base commits_before=$before commits_after=$(commits | wc -l)" \\
    "non_ancestor_left=$left gc_rc=$gc elapsed_s=$(($(date +%s) - start)) path=$1"
  [ "$left" -eq 0 ] || return 3
}
commits() {
  git cat-file --batch-all-objects --batch-check='%(objectname) %(objecttype)' |
    sed -n 's/ commit$//p'
}
skipped() { echo "NEL_GIT_CLEANUP skipped reason=$1 path=$PWD"; }

top=$(git rev-parse --show-toplevel 2>/dev/null) || top=.
found=$( { echo "$top/.git"; find . -name .git -prune; } | while read -r path; do
  [ -e "$path" ] && (cd "${path%/.git}" && pwd -P); done | sort -u)
[ -n "$found" ] || { skipped not_a_git_repo; exit 0; }
command -v git > /dev/null || { echo "the image has no git" >&2; exit 5; }
echo "$found" | while read -r path; do (scrub "$path") || exit $?; done
"""

log = logging.getLogger(__name__)


async def scrub(sandbox: Sandbox, key: RolloutKey) -> None:
    """Scrub every repository in or around the working directory. Raises SandboxLost if something
    is left."""
    done = await sandbox.exec(_SCRUB, timeout=SECONDS)
    for line in done.stdout.splitlines():
        log.info("problem %d: %s", key.problem_idx, line)
    if not done.ok:
        why = (done.stderr.strip() or done.stdout.strip())[-300:]
        raise SandboxLost(
            f"scrub_git_history failed (exit code {done.exit_code}): {why}", phase=Phase.SOLVE
        )
