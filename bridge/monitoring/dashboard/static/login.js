// The log-in: on success the page is the dashboard.
const at = (id) => document.getElementById(id);

at('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  at('note').textContent = '';
  const base = location.pathname.replace(/\/$/, '');
  try {
    const answer = await fetch(`${base}/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ password: at('password').value }),
    });
    if (answer.ok) location.reload();
    else at('note').textContent = sentence(await answer.text());
  } catch {
    at('note').textContent = 'The server does not answer.';
  }
  at('password').select();
});

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
