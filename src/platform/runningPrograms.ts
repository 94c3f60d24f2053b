/**
 * The programs that this process has started and that have not ended: who has no time to wait kills them all, and when
 * this process is killed itself, a guardian does.
 */
import { spawn } from "node:child_process"
import { Socket } from "node:net"
import type { Writable } from "node:stream"

const groups = new Set<number>()

/**
 * What kills the programs of a process that was killed: a shell that reads their numbers as they begin (`+`) and end
 * (`-`), until the pipe ends because nobody has it any more. Nothing else tells of a SIGKILL.
 */
const SCRIPT = `trap '' HUP INT QUIT TERM
set --
while read -r what pid; do
  if [ "$what" = + ]; then set -- "$@" "$pid"; continue; fi
  for one do shift; [ "$one" = "$pid" ] || set -- "$@" "$one"; done
done
for one do kill -KILL "-$one"; done`

let guardian: Writable | undefined

/** Made with the first program; where it cannot be, programs end with us only when we have the time to end them. */
const guard = (): Writable => {
  if (guardian !== undefined) return guardian
  const child = spawn("/bin/sh", ["-c", SCRIPT], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    cwd: "/",
    env: {}
  })
  child.on("error", () => undefined)
  child.stdin.on("error", () => undefined)
  child.unref()
  // it must not keep us from ending
  if (child.stdin instanceof Socket) child.stdin.unref()
  guardian = child.stdin
  return guardian
}

/** A program runs that leads a process group of its own. `outlives`: it is to go on when we are killed. */
export const add = (pid: number, outlives: boolean): void => {
  groups.add(pid)
  if (!outlives) guard().write(`+ ${pid}\n`)
}

/** It has ended. */
export const remove = (pid: number): void => {
  groups.delete(pid)
  guardian?.write(`- ${pid}\n`)
}

/** Kills every program that runs, with what it started. Does not wait. */
export const killAll = (): void => {
  for (const pid of groups) {
    try {
      process.kill(-pid, "SIGKILL")
    } catch {
      // it has just gone
    }
  }
}
