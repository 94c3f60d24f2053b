/** The programs that this process has started and that have not ended: who has no time to wait kills them all. */
const groups = new Set<number>()

/** A program runs that leads a process group of its own. */
export const add = (pid: number): void => void groups.add(pid)

/** It has ended. */
export const remove = (pid: number): void => void groups.delete(pid)

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
