// Package process runs the speaker as a child process, tells it what is wanted,
// and starts it again when it dies. A neighbour whose messages kill it again and
// again is left out for a time that grows.
package process
