"""What Melalog decides: questionnaire, evidence, policy, wording. No I/O but the hosted model's port."""
