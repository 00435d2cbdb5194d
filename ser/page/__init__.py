"""Parts of the Streamlit page: components, wording and enrolment."""
