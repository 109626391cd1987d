// A small Pusher-protocol client: what pusher-js does, as far as the demo needs it.
//
//   const pusher = new Pusher(url, authorize);      authorize(socketId, channel) → promise of {auth, channel_data?}
//   pusher.onstate = (state, detail) => …           connecting | connected | waiting | refused
//   pusher.onevent = ({event, channel, data, user_id}) => …
//   pusher.subscribe(name); pusher.unsubscribe(name); pusher.whisper(name, event, data);

export class Pusher {
  onstate = () => {};
  onevent = () => {};
  socketId = null;
  #url;
  #authorize;
  #socket = null;
  #wanted = new Set();
  #silence = 0; // timer: nothing heard for long
  #answer = 0; // timer: our ping was not answered
  #activityTimeout = 120;
  #failures = 0;

  constructor(url, authorize) {
    this.#url = url;
    this.#authorize = authorize;
  }

  connect() {
    this.onstate('connecting');
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = (message) => {
      this.#heard();
      this.#receive(JSON.parse(message.data));
    };
    socket.onclose = (closing) => this.#closed(closing);
  }

  subscribe(name) {
    this.#wanted.add(name);
    if (this.socketId) this.#join(name);
  }

  unsubscribe(name) {
    this.#wanted.delete(name);
    this.#send('pusher:unsubscribe', { channel: name });
  }

  whisper(channel, event, data) {
    return this.#send(`client-${event}`, data, channel);
  }

  async #join(name) {
    const socketId = this.socketId;
    let signed = {};
    try {
      if (/^(private|presence)-/.test(name)) signed = await this.#authorize(socketId, name);
    } catch (problem) {
      this.onevent({ event: 'pusher:subscription_error', channel: name, data: { error: String(problem) } });
      return;
    }
    // connected anew, or no longer wanted, while we waited
    if (socketId === this.socketId && this.#wanted.has(name)) {
      this.#send('pusher:subscribe', { channel: name, ...signed });
    }
  }

  #send(event, data, channel) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ event, data, ...(channel && { channel }) }));
    return true;
  }

  #receive(message) {
    // the server's own messages and the app's events carry JSON as text, client events as it is
    let data = message.data;
    if (typeof data === 'string') {
      try {
        data = JSON.parse(data);
      } catch {
        // a text that is no JSON stays a text
      }
    }
    if (message.event === 'pusher:ping') {
      this.#send('pusher:pong', {});
    } else if (message.event === 'pusher:connection_established') {
      this.socketId = data.socket_id;
      this.#activityTimeout = data.activity_timeout;
      this.#failures = 0;
      this.onstate('connected', this.socketId);
      for (const name of this.#wanted) this.#join(name);
    } else if (message.event !== 'pusher:pong') {
      this.onevent({ ...message, data });
    }
  }

  #heard() {
    clearTimeout(this.#silence);
    clearTimeout(this.#answer);
    this.#silence = setTimeout(() => {
      this.#send('pusher:ping', {});
      this.#answer = setTimeout(() => this.#socket.close(), 10_000);
    }, this.#activityTimeout * 1000);
  }

  // 4000 to 4099: never again; 4200 to 4299: at once; anything else: later, ever later
  #closed({ code, reason }) {
    clearTimeout(this.#silence);
    clearTimeout(this.#answer);
    this.socketId = null;
    if (code >= 4000 && code < 4100) {
      this.onstate('refused', reason || `code ${code}`);
      return;
    }
    const seconds = code >= 4200 && code < 4300 ? 0 : Math.min(2 ** this.#failures, 10);
    this.#failures += 1;
    this.onstate('waiting', seconds);
    setTimeout(() => this.connect(), seconds * 1000);
  }
}
