// The process that runs the clients: options in the first argument, `stop`, `hold` and `go` by message, the stats by message at the end.
import { Workload, type WorkloadOptions } from './workload.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as WorkloadOptions;
const workload = new Workload(options);
process.on('message', (message) => {
  if (message === 'stop') workload.stop();
  if (message === 'hold' || message === 'go') workload.hold(message === 'hold');
});
process.on('disconnect', () => process.exit(1));
const stats = await workload.run();
process.send?.(stats, () => process.exit(0));
