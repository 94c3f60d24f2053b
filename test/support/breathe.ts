/**
 * Lets the event loop turn once. A test that computes for minutes must do so now and then: the runner's own messages
 * wait meanwhile, and after a minute it takes the silence for a fault of its own and fails the run, not a test.
 */
export const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
